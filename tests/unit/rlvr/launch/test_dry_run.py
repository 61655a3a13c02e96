"""The dry run of every launcher, in one process; what it resolves is held against the paper's settings.

The launchers are really run, with ``python3`` replaced by a shell function that prints its arguments.
"""

import itertools
import json
import os
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from rlvr import methods
from rlvr.launch import dry_run
from rlvr.launch.shapes import KNOWN
from tests.conftest import ROOT, write_math

MODELS = ("qwen2.5-math-7b", "qwen3-4b", "llama3.1-8b")
METHODS = ("psr_nsr", "grpo", "ppo")
LAUNCHERS = [f"run_{model}_{method}.sh" for model, method in itertools.product(MODELS, METHODS)]
TINY = [f"run_tiny_{method}.sh" for method in METHODS]
SMOLLM2 = [f"run_smollm2-135m_{method}.sh" for method in METHODS]
ONE_GPU = ("gpu24", "gpu48", "gpu80", "gpu141")

# The paper's settings, and those of its code where it is silent; shared by all methods and models.
SHARED = {
    "data.train_batch_size": 1024,
    "data.max_prompt_length": 1024,
    "actor_rollout_ref.rollout.n": 8,
    "actor_rollout_ref.rollout.temperature": 1.0,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 256,
    "actor_rollout_ref.actor.ppo_epochs": 1,
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.optim.clip_grad": 1.0,
    "actor_rollout_ref.actor.clip_ratio": 0.2,
    "actor_rollout_ref.actor.entropy_coeff": 1e-4,
    "actor_rollout_ref.actor.loss_agg_mode": "token-mean",
    "trainer.save_freq": 7,
    "trainer.test_freq": 7,
}
PER_MODEL = {
    "qwen2.5-math-7b": {
        "actor_rollout_ref.model.path": "Qwen/Qwen2.5-Math-7B",
        "data.prompt_template_type": "qwen",
        "data.max_response_length": 3072,
        "actor_rollout_ref.rollout.max_model_len": 4096,
        "trainer.total_training_steps": 110,
    },
    "qwen3-4b": {
        "actor_rollout_ref.model.path": "Qwen/Qwen3-4B",
        "data.prompt_template_type": "qwen3_no_thinking",
        "data.max_response_length": 31744,
        "actor_rollout_ref.rollout.max_model_len": 32768,
        "trainer.total_training_steps": 50,
    },
    "llama3.1-8b": {
        "actor_rollout_ref.model.path": "meta-llama/Llama-3.1-8B-Instruct",
        "data.prompt_template_type": "llama",
        "data.max_response_length": 3072,
        "actor_rollout_ref.rollout.max_model_len": 4096,
    },
}
NO_KL = {"actor_rollout_ref.actor.use_kl_loss": False, "algorithm.use_kl_in_reward": False}
PER_METHOD = {
    "psr_nsr": {
        **NO_KL,
        "algorithm.adv_estimator": "psr_nsr",
        "algorithm.advantage": "negative",
        "algorithm.positive_advantage_weight": 0.1,
        "algorithm.sample_selection": "drop",
    },
    "grpo": {
        **NO_KL,
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": True,
        "actor_rollout_ref.actor.use_kl_loss": True,
        "actor_rollout_ref.actor.kl_loss_coef": 1e-3,
        "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
    },
    "ppo": {
        **NO_KL,
        "algorithm.adv_estimator": "gae",
        "algorithm.gamma": 1.0,
        "algorithm.lam": 1.0,
        "algorithm.use_kl_in_reward": True,
        "algorithm.kl_ctrl.kl_coef": 1e-3,
        "critic.optim.lr": 1e-5,
    },
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    """Overrides that point to small files with MATH's number of training questions."""
    folder = tmp_path_factory.mktemp("data")
    write_math(folder)
    return [f"data.train_files={folder}/train.parquet", f"data.val_files=[{folder}/test.parquet]"]


@pytest.fixture
def gpu(monkeypatch):
    """As on a machine that is to train on GPUs."""
    monkeypatch.delenv("VERL_PLATFORM")


def arguments_of(launcher: str, *overrides: str, **environment: str) -> list[str]:
    """What a launcher hands to the dry run."""
    stub = 'python3() { if [ "$2" = rlvr.cluster.cpus ]; then echo 16; else printf "%s\\n" "$@"; fi; }; export -f python3; '
    stub += 'bash "$@"'
    clean = {key: value for key, value in os.environ.items() if key not in ("VERL_PLATFORM", "RAY_ADDRESS", "NNODES")}
    result = subprocess.run(
        ["bash", "-c", stub, "bash", launcher, *overrides],
        cwd=ROOT,
        env=clean | {"DRY_RUN": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    module, program, *arguments = result.stdout.splitlines()
    assert (module, program) == ("-m", "rlvr.launch.dry_run")
    return arguments


def run(capsys, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit code, output, and the problems."""
    code = dry_run.main([*arguments])
    captured = capsys.readouterr()
    return code, captured.out, [line for line in captured.err.splitlines() if line.startswith("config error:")]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_resolves_to_the_papers_settings_and_fits(capsys, gpu, data, launcher):
    _, model, method = launcher.removesuffix(".sh").split("_", 2)
    code, output, problems = run(capsys, *arguments_of(launcher, *data))
    assert (code, problems) == (0, [])
    text = output.split("\nMemory of one GPU")[0]
    config = OmegaConf.create(text)
    expected = SHARED | PER_MODEL[model] | PER_METHOD[method]
    assert {key: OmegaConf.select(config, key) for key in expected} == expected
    assert config.trainer.n_gpus_per_node == 8 and config.trainer.device == "cuda"
    assert config.ray_kwargs.ray_init.num_cpus == 16
    longest = config.data.max_prompt_length + config.data.max_response_length
    assert config.actor_rollout_ref.actor.ppo_max_token_len_per_gpu == max(16384, longest)
    assert config.critic.ppo_infer_max_token_len_per_gpu == max(16384, longest), "what verl reads for the critic"
    assert "fits into 79.0 GiB" in output and "NOT" not in output
    assert "epochs of 7 steps (7500 questions)" in output
    assert ("critic update" in output) == (method == "ppo")
    assert output.endswith("dry run: nothing is wrong\n")


@pytest.mark.parametrize("machine", [*ONE_GPU, "nodes"])
def test_every_machine_is_valid_for_the_largest_demand(capsys, gpu, data, machine):
    """PPO on the 8B model, the run with the most states; and the longest answers."""
    for launcher in ("run_llama3.1-8b_ppo.sh", "run_qwen3-4b_grpo.sh"):
        code, output, problems = run(capsys, *arguments_of(launcher, *data, MACHINE=machine))
        assert (code, problems) == (0, [])
        assert "fits into" in output and "NOT" not in output


@pytest.mark.parametrize("launcher", TINY)
def test_the_tiny_launchers(capsys, data, tmp_path, launcher):
    (tmp_path / "config.json").write_text(json.dumps(KNOWN["Qwen/Qwen3-4B"]))
    overrides = [*data, f"actor_rollout_ref.model.path={tmp_path}"]
    code, output, problems = run(capsys, *arguments_of(launcher, *overrides))
    assert (code, problems) == (0, [])
    assert "no estimate: this machine has no GPU" in output
    assert "128 questions × 8 = 1024 samples" in output


@pytest.mark.parametrize("launcher", SMOLLM2)
def test_the_launchers_of_smollm2(capsys, data, tmp_path, launcher):
    (tmp_path / "config.json").write_text(json.dumps(KNOWN["HuggingFaceTB/SmolLM2-135M-Instruct"]))
    overrides = [*data, f"actor_rollout_ref.model.path={tmp_path}"]
    code, output, problems = run(capsys, *arguments_of(launcher, *overrides))
    assert (code, problems) == (0, [])
    assert "32 questions × 8 = 256 samples" in output
    config = OmegaConf.create(output.split("\nMemory of one GPU")[0])
    expected = PER_METHOD[launcher.removesuffix(".sh").split("_", 2)[2]]
    assert {key: OmegaConf.select(config, key) for key in expected} == expected
    assert config.data.prompt_template_type == "smollm2" and config.trainer.device == "cpu"


def test_without_smollm2_the_command_that_brings_it_is_named(capsys, data, monkeypatch, tmp_path):
    arguments = arguments_of(SMOLLM2[0], *data)
    arguments[arguments.index("--config-dir=configs")] = f"--config-dir={ROOT}/configs"
    monkeypatch.chdir(tmp_path)
    code, _, problems = run(capsys, *arguments)
    assert code == 2
    assert "make it with `scripts/prepare_smollm2`" in problems[0]


def test_another_method_is_one_word_away(capsys, gpu, data, tmp_path):
    """In the line ``advantage=…`` of the launcher."""
    for model in MODELS:
        launcher = f"run_{model}_psr_nsr.sh"
        lines = (ROOT / launcher).read_text().splitlines()
        (line,) = [i for i, line in enumerate(lines) if line.startswith("advantage=negative ")]
        lines[line] = lines[line].replace("negative", "weighted", 1)
        edited = tmp_path / launcher
        edited.write_text("\n".join(lines).replace('cd "$(dirname "$0")"', f'cd "{ROOT}"'))
        arguments = arguments_of(str(edited), *data)
        assert {"algorithm.advantage=weighted", "algorithm.positive_advantage_weight=0.1"} <= {*arguments}
        assert f"trainer.experiment_name={model}-weighted" in arguments


@pytest.mark.parametrize("launcher", [*LAUNCHERS, *TINY, *SMOLLM2])
def test_launchers_are_short_and_say_what_to_expect(launcher):
    text = (ROOT / launcher).read_text()
    assert len(text.splitlines()) < 30
    if launcher in LAUNCHERS:
        assert "# Steps: " in text and "Hardware: " in text and "The paper" in text


def test_composes_what_main_ppo_composes(capsys, gpu, data, monkeypatch):
    """Hydra's own ``--cfg job`` of the real entry point against the dry run's."""
    from verl.trainer.main_ppo import main

    arguments = arguments_of("run_qwen3-4b_ppo.sh", *data)
    monkeypatch.setattr(sys, "argv", ["main_ppo", *arguments, "--cfg", "job"])
    main()
    theirs = OmegaConf.create(capsys.readouterr().out)
    assert OmegaConf.to_container(theirs) == OmegaConf.to_container(dry_run.compose(arguments))


@pytest.mark.parametrize(
    ("override", "named"),
    [
        (
            "data.train_files=data/math/none.parquet",
            "data/math/none.parquet does not exist; make it with `scripts/prepare_data`",
        ),
        ("algorithm.advantage=neutral", "algorithm.advantage=neutral is unknown"),
        ("actor_rollout_ref.model.path=/no/such/model", "/no/such/model does not exist"),
        ("data.max_response_length=4096", "4096 positions"),
        ("actor_rollout_ref.actor.loss_agg_mode=mean", "Invalid loss_agg_mode: mean"),
        ("+actor_rollout_ref.rollout.nope=1", "unexpected keyword argument 'nope'"),
        ("actor_rollout_ref.rollout.dtype=float7", "argument --dtype: invalid choice: 'float7'"),
        ("actor_rollout_ref.rollout.max_num_seqs=0", "max_num_seqs"),
        ("algorithm.nope=1", "algorithm.nope"),
        ("base_model=nope", "nope"),
        ("launch.assumed_accuracy=2", "launch.assumed_accuracy=2"),
    ],
)
def test_what_is_wrong_is_named(capsys, gpu, data, override, named):
    arguments = arguments_of("run_qwen2.5-math-7b_psr_nsr.sh", *data)
    if override.startswith("base_model="):
        arguments.remove("base_model=qwen2.5-math-7b")
    code, _, problems = run(capsys, *arguments, override)
    assert code == 2
    assert any(named in problem for problem in problems), problems


def test_what_does_not_fit_is_told_what_helps(capsys, gpu, data):
    arguments = arguments_of("run_qwen2.5-math-7b_psr_nsr.sh", *data, "launch.gpu_memory_gib=40")
    code, output, _ = run(capsys, *arguments)
    assert code == 0, "an estimate stops nobody"
    assert "does NOT fit into 40 GiB" in output and "then it fits" in output


def test_end_to_end(data):
    """The real thing: bash, python, the plugin, vLLM; what is printed first is YAML and nothing else."""
    environment = {key: value for key, value in os.environ.items() if key != "VERL_PLATFORM"} | {"DRY_RUN": "1"}
    command = ["bash", "run_qwen2.5-math-7b_psr_nsr.sh", *data, "algorithm.advantage=neutral"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    problems = [line for line in result.stderr.splitlines() if line.startswith("config error:")]
    choices = ", ".join(methods.METHODS)
    assert problems == [f"config error: algorithm.advantage=neutral is unknown: choose one of {choices}"]
    assert result.stdout.endswith("dry run: 1 problem(s)\n")
    assert OmegaConf.create(result.stdout.split("\nMemory of one GPU")[0]).algorithm.advantage == "neutral"


def test_several_nodes():
    """The promised nodes reach the configuration, and Ray is not told of CPUs that it counts itself."""
    arguments = arguments_of("run_qwen2.5-math-7b_psr_nsr.sh", NNODES="4", GPUS_PER_NODE="2", MACHINE="nodes")
    assert {"trainer.nnodes=4", "trainer.n_gpus_per_node=2", "ray_kwargs.ray_init.num_cpus=null"} <= {*arguments}
    config = dry_run.compose(arguments)
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node) == (4, 2)
    assert config.ray_kwargs.ray_init.num_cpus is config.ray_kwargs.ray_init.num_gpus is None


def test_a_launcher_without_a_dry_run_waits_for_nodes_and_trains():
    stub = 'python3() { echo "$2" "${@:3:1}"; }; export -f python3; bash "$@"'
    for environment, expected in (
        ({}, ["verl.trainer.main_ppo --config-dir=configs"]),
        ({"NNODES": "2"}, ["rlvr.cluster wait", "verl.trainer.main_ppo --config-dir=configs"]),
        ({"RAY_ADDRESS": "10.0.0.1:6379"}, ["rlvr.cluster wait", "verl.trainer.main_ppo --config-dir=configs"]),
    ):
        clean = {key: value for key, value in os.environ.items() if key not in ("DRY_RUN", "RAY_ADDRESS", "NNODES")}
        command = ["bash", "-c", stub, "bash", "run_tiny_grpo.sh"]
        result = subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=True)
        assert result.stdout.splitlines() == expected
