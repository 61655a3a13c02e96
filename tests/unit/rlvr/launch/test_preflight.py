"""Bad input is named in one line each, before Ray starts. The driver's exit code is tested in tests/integration."""

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from rlvr.launch import preflight
from rlvr.methods import METHODS
from tests.conftest import ROOT


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Compose a configuration that passes, on a data set and model folder of a few bytes."""
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    row = {
        "data_source": "rlvr/countdown",
        "prompt": [{"role": "user", "content": "1,2->3"}],
        "reward_model": {"ground_truth": {"question": "1,2->3", "target": "3"}, "style": "rule"},
    }
    data = tmp_path / "data.parquet"
    pd.DataFrame([row] * 4).to_parquet(data)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")

    def make(*overrides: str, name: str = "psr_nsr"):
        base = [
            f"data.train_files={data}",
            f"data.val_files={data}",
            f"actor_rollout_ref.model.path={model}",
            "data.train_batch_size=4",
            "trainer.experiment_name=test",
        ]
        import verl.trainer.config

        verl_configs = verl.trainer.config.__path__[0]
        with initialize_config_dir(str(ROOT / "configs"), version_base=None):
            return compose(name, [f"hydra.searchpath=[file://{verl_configs}]", *base, *overrides])

    return make


@pytest.mark.parametrize("name", ["psr_nsr", "grpo", "ppo"])
def test_what_we_ship_passes(config, name):
    assert preflight.check(config(name=name)) == []


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("algorithm.adv_estimator=nope", "algorithm.adv_estimator=nope"),
        ("algorithm.advantage=neutral", "algorithm.advantage=neutral"),
        ("algorithm.sample_selection=keep", "algorithm.sample_selection=keep"),
        ("algorithm.positive_advantage_weight=-0.1", "algorithm.positive_advantage_weight=-0.1"),
        ("algorithm.positive_advantage_weight=lots", "algorithm.positive_advantage_weight=lots"),
        ("algorithm.positive_advantage_weight=nan", "algorithm.positive_advantage_weight=nan"),
        ("algorithm.positive_advantage_weight=true", "algorithm.positive_advantage_weight=True"),
        ("algorithm.positive_advantage_weight={shape: linear, start: 1}", "needs start and end"),
        ("algorithm.positive_advantage_weight={shape: cubic}", "needs shape: one of linear"),
        ("algorithm.method.k=4", "k=4 is no setting of this method: its settings are negative_advantage_weight"),
        ("algorithm.method.negative_advantage_weight=-1", "algorithm.method.negative_advantage_weight=-1"),
        ("+algorithm.method.wieght=1", "algorithm.method.wieght=1 is no setting"),
        ("algorithm.zero_variance=maybe", "algorithm.zero_variance=maybe"),
        ("algorithm.learn_from_incorrect=[wrong,late]", "algorithm.learn_from_incorrect=late is unknown"),
        ("algorithm.learn_from_incorrect=wrong", "must be a list of wrong"),
        ("algorithm.learn_from_incorrect=[]", "learns from nothing else"),
        ("algorithm.positive_learning_weight=0.5", "acts on the loss of GRPO and PPO"),
        ("trainer.v1.trainer_mode=sync", "trainer.v1.trainer_mode=sync"),
        ("trainer.v1.trainer_mode=decomposed_async", "set algorithm.rollout_correction.bypass_mode and"),
        ("actor_rollout_ref.rollout.agent.agent_loop_manager_class=null", "reward.num_workers=0"),
        ("actor_rollout_ref.rollout.multi_turn.enable=true", "reward.num_workers=0, but with multi_turn"),
        ("trainer.v1.sampler.custom_sampler.path=null", "pkg://rlvr.training.sampler"),
        ("trainer.device=cuda", "VERL_PLATFORM=cpu"),
        ("data.train_files=/no/such.parquet", "/no/such.parquet does not exist"),
        ("data.val_files=[/no/such.parquet]", "data.val_files: /no/such.parquet does not exist"),
        ("data.train_batch_size=5", "hold only 4 questions"),
        ("data.prompt_template_type=nope", "data.prompt_template_type=nope is unknown"),
        ("actor_rollout_ref.model.path=/no/such/model", "/no/such/model does not exist"),
        ("actor_rollout_ref.model.path=data/no/model", "data/no/model does not exist"),
        ("reward.custom_reward_function.name=nope", "reward.custom_reward_function"),
        ("trainer.max_actor_ckpt_to_keep=1", "trainer.max_actor_ckpt_to_keep=1"),
        ("trainer.samples_per_step=-1", "trainer.samples_per_step=-1"),
        ("trainer.samples_per_step=true", "trainer.samples_per_step=True"),
        (
            "trainer.samples_per_step=some",
            "trainer.samples_per_step=some must be a number of questions, 0 for none, or all",
        ),
        ("trainer.samples_per_step=null", "trainer.samples_per_step=None"),
        ("trainer.watchdog.timeout_s=0", "trainer.watchdog.timeout_s=0"),
        ("trainer.watchdog.timeout_s=soon", "trainer.watchdog.timeout_s=soon"),
    ],
)
def test_one_line_names_the_problem(config, override, named):
    problems = preflight.check(config(override))
    assert len(problems) == 1, problems
    assert named in problems[0]
    assert "\n" not in problems[0]


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["algorithm.advantage=passk_training", "algorithm.method.k=9"], "algorithm.method.k=9 is above"),
        (["algorithm.advantage=passk_training", "algorithm.method.k=0"], "algorithm.method.k=0 must be 1 or more"),
        (
            ["algorithm.advantage=passk_training", "algorithm.method.k=two"],
            "algorithm.method.k=two must be a whole number",
        ),
        (["algorithm.advantage=rloo", "actor_rollout_ref.rollout.n=1"], "compares the samples of a question"),
        (["algorithm.filter_groups.enable=true", "algorithm.filter_groups.metric=acc"], "set it to reward"),
        (["algorithm.filter_groups.enable=true", "algorithm.filter_groups.max_num_gen_batches=0"], "must be 1 or more"),
        (["algorithm.filter_groups.enable=true", "actor_rollout_ref.rollout.n=1"], "needs several samples a question"),
        (["algorithm.filter_groups.enable=true", "algorithm.zero_variance=keep"], "contradicts"),
        (["actor_rollout_ref.actor.policy_loss.loss_mode=nope"], "loss_mode=nope is unknown"),
        (
            ["actor_rollout_ref.actor.policy_loss.loss_mode=simko", "algorithm.simko.quantile=2"],
            "algorithm.simko.quantile=2 must be from 0 to 1",
        ),
        (
            ["actor_rollout_ref.actor.policy_loss.loss_mode=simko", "actor_rollout_ref.model.use_fused_kernels=true"],
            "hides the logits",
        ),
    ],
)
def test_settings_that_do_not_go_together(config, overrides, named):
    (problem,) = preflight.check(config(*overrides))
    assert named in problem and "\n" not in problem


@pytest.mark.parametrize("name", ["grpo", "ppo"])
def test_a_setting_of_a_method_without_that_method(config, name):
    (problem,) = preflight.check(config("algorithm.method.k=4", name=name))
    assert "algorithm.method.k=4 has no effect" in problem


def test_zero_variance_is_no_business_of_ppo(config):
    (problem,) = preflight.check(config("algorithm.zero_variance=drop", name="ppo"))
    assert "critic" in problem
    assert preflight.check(config("algorithm.zero_variance=drop", name="grpo")) == []


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_passes(config, method):
    assert preflight.check(config(f"algorithm.advantage={method}")) == []


@pytest.mark.parametrize(
    "schedule",
    ["{shape: linear, start: 1, end: 0.1, last: 50}", "{shape: piecewise, by: accuracy, points: [[0, 1], [0.5, 0]]}"],
)
def test_a_weight_may_be_a_schedule(config, schedule):
    assert (
        preflight.check(config(f"algorithm.positive_advantage_weight={schedule}", "algorithm.advantage=weighted")) == []
    )
    assert preflight.check(config(f"algorithm.method.negative_advantage_weight={schedule}")) == []


def test_several_problems_are_all_named(config):
    problems = preflight.check(config("algorithm.advantage=neutral", "data.train_files=/no/such.parquet"))
    assert len(problems) == 2


def test_gpu_config_without_a_gpu(config, monkeypatch):
    import torch

    composed = config("trainer.device=cuda")
    monkeypatch.delenv("VERL_PLATFORM")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (problem,) = preflight.check_gpu(composed)
    assert "no GPU" in problem
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")  # the GPUs may be elsewhere
    assert list(preflight.check_gpu(composed)) == []


def test_cpu_must_be_chosen(config, monkeypatch):
    composed = config()
    monkeypatch.delenv("VERL_PLATFORM")
    (problem,) = preflight.check_device(composed)
    assert "VERL_PLATFORM=cpu" in problem


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([{"data_source": "x", "reward_model": {"ground_truth": "1"}}], "misses a question"),
        ([{"prompt": [{"role": "user", "content": "?"}], "data_source": "x"}], "misses a gold answer"),
        (
            [{"prompt": 11, "data_source": "x", "reward_model": {"ground_truth": "1"}}],
            "must be a text or a list of messages",
        ),
        (
            [{"prompt": [{"role": "user", "content": "?"}], "data_source": "x", "reward_model": {"style": "rule"}}],
            "key 'reward_model': has no ground_truth",
        ),
    ],
)
def test_malformed_columns(config, tmp_path, rows, named):
    file = tmp_path / "bad.parquet"
    pd.DataFrame(rows * 4).to_parquet(file)
    problems = preflight.check(config(f"data.train_files={file}"))
    assert any(named in problem and str(file) in problem for problem in problems), problems


def test_a_file_that_is_not_parquet(config, tmp_path):
    file = tmp_path / "bad.parquet"
    file.write_text("not parquet")
    problems = preflight.check(config(f"data.train_files={file}"))
    assert len(problems) == 1 and str(file) in problems[0] and "is no parquet file" in problems[0]


def test_a_file_without_rows(config, tmp_path):
    file = tmp_path / "empty.parquet"
    pd.DataFrame({"prompt": []}).to_parquet(file)
    problems = preflight.check(config(f"data.train_files={file}"))
    assert problems and all(str(file) in problem for problem in problems)


def test_a_check_that_breaks_does_not_let_the_run_go_on(config, monkeypatch):
    def broken(_):
        raise RuntimeError

    monkeypatch.setattr(preflight, "check", broken)
    with pytest.raises(SystemExit) as exit_info:
        preflight.Preflight().on_run_start(config())
    assert exit_info.value.code not in (0, None)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("return 0.5", "0.5: a verifiable reward is 0 or 1"),
        ("return {'score': -1.0}", "-1.0: a verifiable reward is 0 or 1"),
        ("raise KeyError('target')", "KeyError"),
        ("return {'score': 0.0, 'kind': 'odd'}", "kind='odd'"),
    ],
)
def test_a_reward_that_is_not_0_or_1_names_the_data_source(config, tmp_path, body, named):
    function = tmp_path / "reward.py"
    function.write_text(f"def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n    {body}\n")
    composed = config(f"reward.custom_reward_function.path={function}")
    (problem,) = preflight.check(composed)
    assert named in problem and "'rlvr/countdown'" in problem


def test_an_unknown_data_source_is_named(config, tmp_path):
    row = {
        "data_source": "nobody/knows",
        "prompt": [{"role": "user", "content": "?"}],
        "reward_model": {"ground_truth": "1"},
    }
    file = tmp_path / "unknown.parquet"
    pd.DataFrame([row] * 4).to_parquet(file)
    (problem,) = preflight.check(config(f"data.train_files={file}"))
    assert "'nobody/knows'" in problem


def test_an_empty_reward_path_is_upstreams_business(config):
    composed = config()
    with open_dict(composed):
        composed.reward.num_workers = 1
        composed.reward.custom_reward_function.path = None
    assert preflight.check(composed) == []


def test_the_callback_exits_with_2(config, capsys, monkeypatch):
    monkeypatch.setattr(
        preflight.override_types, "check_run", lambda config: iter(())
    )  # it was composed without Hydra's own
    with pytest.raises(SystemExit) as exit_info:
        preflight.Preflight().on_run_start(config("algorithm.advantage=neutral"))
    assert exit_info.value.code == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning")]
    assert said.startswith("config error: algorithm.advantage=neutral")


@pytest.mark.parametrize("inside", ["", "/more/of/it"])
def test_a_folder_that_cannot_be_written_to_is_named(config, tmp_path, inside):
    file = tmp_path / "file"
    file.write_text("")
    composed = config(f"trainer.default_local_dir={file}{inside}")
    (problem,) = preflight.check(composed)
    assert problem.startswith(f"trainer.default_local_dir={file}{inside}: {file}: is a file, no folder; choose")
    assert preflight.check(composed, here=False) == []  # a dry run may be of another machine
