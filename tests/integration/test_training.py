"""NSR, PSR, GRPO and PPO train on the real engine; checkpoints, resuming, validation, two workers, a step without samples.

W-REINFORCE, and NSR with mask, train in test_lost_workers.py; GRPO with a weight on correct samples in test_two_nodes.py; each
method in test_formulas.py.
"""

import json
import math

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from rlvr.incorrect import counts
from rlvr.sample_files import Sample, path_of, sample_files, write
from tests.integration.conftest import QUESTIONS, N, Run, check_step, succeeded

SAMPLES = QUESTIONS * N


def check_samples(run: Run, step: int) -> list[Sample]:
    """The samples that a run kept of a step are those that its metrics count; gives them."""
    samples, metrics = path_of_step(run, step).read(), run.metrics[step]
    assert len(samples) == metrics["rlvr/correct_count"] + metrics["rlvr/incorrect_count"]
    assert sum(one.correct for one in samples) == metrics["rlvr/correct_count"]
    assert sum(one.kept for one in samples) == metrics["rlvr/kept_count"], "what fills up a mini-batch is no sample"
    kinds = counts([one.kind for one in samples])
    assert kinds == {kind: metrics[f"rlvr/incorrect_{kind}"] for kind in kinds}
    assert sum(one.tokens for one in samples) / len(samples) == pytest.approx(metrics["rlvr/response_length"])
    assert len({one.group for one in samples}) == metrics["rlvr/questions"]
    assert all(one.step == step and one.gold and one.question for one in samples)
    assert all(one.answer for one in samples if one.kept or one.correct)
    assert metrics["rlvr/sample_files_lost"] == 0
    return samples


def path_of_step(run: Run, step: int, split: str = "train"):
    (found,) = [file for file in sample_files(run.folder) if (file.step, file.split) == (step, split)]
    return found


def weights(folder):
    return load_file(folder / "model.safetensors")


def changed(before, after) -> bool:
    return any(not before[name].equal(after[name]) for name in before)


def test_nsr_trains_validates_saves_and_resumes(launch, tiny):
    """Two steps, then two more from the checkpoint. 16 questions are two steps an epoch: it falls on an epoch boundary."""
    few = tiny / "train16.parquet"
    pd.read_parquet(tiny / "train.parquet").head(16).to_parquet(few)
    settings = [
        f"data.train_files={few}",
        "algorithm.advantage=negative",
        "trainer.save_freq=2",
        "trainer.total_epochs=10",
        "trainer.val_before_train=true",
        "trainer.logger=[console,tensorboard]",
        "trainer.rollout_data_dir=${trainer.default_local_dir}/rollouts",
    ]
    first = succeeded(launch("run_tiny_psr_nsr.sh", *settings, name="nsr"))

    # Validation with several samples a question, before training.
    before = first.metrics[0]
    assert 0 <= before["val-core/rlvr/countdown/pass@1"] <= before["val-core/rlvr/countdown/pass@4"] <= 1

    assert before["val-core/entropy"] > 0

    for step in (1, 2):
        metrics = first.metrics[step]
        check_step(metrics)
        assert metrics["rlvr/kept_count"] == metrics["rlvr/incorrect_count"] == metrics["rlvr/effective_examples"]
        assert metrics["critic/advantages/max"] == metrics["critic/advantages/min"] == -1.0
        assert metrics["actor/pg_clipfrac_positive"] == 0
        # 4 questions × 4 samples a mini-batch; only what is kept counts.
        assert metrics["rlvr/optimizer_steps"] == math.ceil(metrics["rlvr/kept_count"] / 16)
        assert metrics["rlvr/skipped_steps"] == 0

    # The checkpoint is also a Hugging Face folder, and the weights have moved.
    exported = first.folder / "global_step_2" / "actor" / "huggingface"
    assert changed(weights(tiny / "model"), weights(exported))
    resolved = yaml.safe_load((first.folder / "config.yaml").read_text())
    assert resolved["algorithm"]["advantage"] == "negative"
    assert resolved["actor_rollout_ref"]["actor"]["optim"]["lr"] == 1e-4
    assert "launch_worker.py" in resolved["ray_kwargs"]["ray_init"]["runtime_env"]["py_executable"]  # the fork server's
    assert list((first.folder / "tensorboard").glob("events*"))

    # Samples of the first and the last step, dropped ones too, and of every validation.
    assert [(file.split, file.step) for file in sample_files(first.folder)] == [
        ("validation", 0), ("train", 1), ("train", 2),
    ]  # fmt: skip
    for step in (1, 2):
        samples = check_samples(first, step)
        assert {(one.correct, one.kept, one.advantage) for one in samples} == {(True, False, 0), (False, True, -1)}
        assert {one.layer for one in samples} == {"exact"}
    validated = path_of_step(first, 0, "validation").read()
    assert len(validated) == 4 * 4
    assert sum(one.correct for one in validated) / 16 == pytest.approx(before["val-core/rlvr/countdown/pass@1"])
    assert all(one.log_prob < 0 for one in validated)
    mean = sum(one.log_prob * one.tokens for one in validated) / sum(one.tokens for one in validated)
    assert -mean == pytest.approx(before["val-core/entropy"], rel=1e-4)

    # The same command with more steps goes on at step 3, with the data of a new epoch. What was kept of undone steps is gone.
    undone = write(first.folder, "train", 3, samples)
    also_undone = write(first.folder, "validation", 9, validated)
    more = ["trainer.total_training_steps=4", "trainer.samples_per_step=all"]
    second = succeeded(launch("run_tiny_psr_nsr.sh", *settings, *more, name="nsr"))
    lines = (second.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2, 3, 4]
    starts = [json.loads(line) for line in (second.folder / "starts.jsonl").read_text().splitlines()]
    assert [start["resumed_from"] for start in starts] == [0, 2]
    check_step(second.metrics[4])
    assert second.metrics[3]["training/epoch"] == second.metrics[4]["training/epoch"] == 1
    rollouts = [read_rollouts(second.folder / "rollouts" / f"{step}.jsonl") for step in (1, 2, 3, 4)]
    for step, samples in enumerate(rollouts, start=1):
        assert len(samples) == second.metrics[step]["rlvr/kept_count"], "what fills up a mini-batch is no rollout"
        kept = [one.answer for one in check_samples(second, step) if one.kept]
        assert sorted(kept) == sorted(sample["output"] for sample in samples), (
            "the texts are those that were learned from"
        )
    assert undone.read_bytes() != path_of(first.folder, "train", 2).read_bytes() and not also_undone.exists()
    assert [(file.split, file.step) for file in sample_files(second.folder)] == [
        ("validation", 0), ("train", 1), ("train", 2), ("validation", 2), ("train", 3), ("train", 4),
    ]  # fmt: skip
    ids = [{one.question_id for one in path_of_step(second, step).read()} for step in (1, 2, 3, 4)]
    assert ids[0] | ids[1] == ids[2] | ids[3], "a question has one id in every epoch"
    questions = [{sample["input"] for sample in samples} for samples in rollouts]
    assert not questions[0] & questions[1], "an epoch asks each question once"
    assert not questions[2] & questions[3], "and so does the epoch after the resume"


def read_rollouts(path) -> list[dict]:
    """The samples that a step learned from."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_dynamic_sampling_goes_on_with_questions_that_were_not_asked(launch):
    """One step, then two more from its checkpoint: the questions asked instead of others count as asked, too."""
    settings = ["algorithm.filter_groups.enable=true", "trainer.save_freq=1", "trainer.samples_per_step=all"]
    succeeded(launch("run_tiny_psr_nsr.sh", *settings, "trainer.total_training_steps=1", name="dynamic"))
    run = succeeded(launch("run_tiny_psr_nsr.sh", *settings, "trainer.total_training_steps=3", name="dynamic"))
    assert [json.loads(line)["resumed_from"] for line in (run.folder / "starts.jsonl").read_text().splitlines()] == [
        0,
        1,
    ]

    asked = [{one.question_id for one in path_of_step(run, step).read()} for step in (1, 2, 3)]
    for step, ids in enumerate(asked, start=1):
        metrics = run.metrics[step]
        assert len(ids) == QUESTIONS + metrics["rlvr/refilled_questions"] == metrics["rlvr/questions"]
        assert metrics["rlvr/missing_questions"] == 0
    assert sum(run.metrics[step]["rlvr/refilled_questions"] for step in run.metrics) > 0, (
        "the task is hard enough for it"
    )
    assert len(set.union(*asked)) == sum(map(len, asked)), "an epoch asks each question once"


def test_psr_with_two_workers_skips_a_step_without_correct_samples(launch, tiny):
    """The questions of the first step cannot be solved; the run goes on. Two training workers, vLLM replicas, rollout workers."""
    rows = pd.read_parquet(tiny / "train.parquet").head(16)
    impossible = {"ground_truth": {"question": "1,1,1,1->40", "target": "40"}, "style": "rule"}
    rows["reward_model"] = [impossible] * 8 + list(rows["reward_model"][8:])
    rows.to_parquet(tiny / "impossible_first.parquet")
    run = succeeded(
        launch(
            "run_tiny_psr_nsr.sh",
            f"data.train_files={tiny}/impossible_first.parquet",
            "data.shuffle=false",
            "algorithm.advantage=positive",
            "trainer.n_gpus_per_node=2",
            "actor_rollout_ref.rollout.agent.num_workers=2",
            "actor_rollout_ref.rollout.n=32",  # the model is right now and then; one right answer is needed
            name="psr",
        )
    )
    skipped, updated = run.metrics[1], run.metrics[2]
    assert skipped["rlvr/correct_count"] == skipped["rlvr/kept_count"] == 0
    assert skipped["rlvr/skipped_steps"] == 1
    assert skipped["rlvr/grader_timeouts"] == skipped["rlvr/grader_errors"] == 0
    assert "actor/grad_norm" not in skipped
    assert "no sample to learn from" in run.output
    assert len(check_samples(run, 1)) == len(check_samples(run, 2)) == 8 * 32

    assert updated["rlvr/kept_count"] == updated["rlvr/correct_count"] > 0
    assert updated["rlvr/skipped_steps"] == 1
    assert updated["critic/advantages/max"] == updated["critic/advantages/min"] == 1.0
    assert updated["actor/grad_norm"] > 0


def test_grpo_with_upstreams_rollouts(launch):
    run = succeeded(
        launch(
            "run_tiny_grpo.sh",
            "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
            "reward.num_workers=1",
            name="grpo",
        )
    )
    for step in (1, 2):
        check_step(run.metrics[step])
        assert run.metrics[step]["rlvr/kept_count"] == SAMPLES
        assert "actor/kl_loss" in run.metrics[step]
        assert "timing_s/ref" in run.metrics[step]
        for one in check_samples(run, step):
            assert one.advantage >= 0 if one.correct else one.advantage <= 0


def test_ppo_with_critic_and_in_reward_kl(launch):
    run = succeeded(launch("run_tiny_ppo.sh", "trainer.save_freq=2", name="ppo"))
    for step in (1, 2):
        check_step(run.metrics[step])
        assert run.metrics[step]["rlvr/kept_count"] == SAMPLES
        assert math.isfinite(run.metrics[step]["critic/vf_loss"])
        assert run.metrics[step]["critic/grad_norm"] > 0
        assert "actor/reward_kl_penalty" in run.metrics[step]
        samples = check_samples(run, step)
        assert all(one.log_prob < 0 < one.entropy and math.isfinite(one.advantage) for one in samples)
    assert (run.folder / "global_step_2" / "critic").is_dir()


def test_bad_input_exits_with_2_before_ray_starts(launch):
    run = launch("run_tiny_psr_nsr.sh", "algorithm.advantage=neutral", "trainer.device=cuda", name="bad")
    assert run.exit_code == 2
    problems = [line for line in run.output.splitlines() if line.startswith("config error:")]
    assert len(problems) == 2
    assert "Started a local Ray instance" not in run.output
