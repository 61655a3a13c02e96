"""``trainer.v1.trainer_mode=decomposed_async`` on the real engine: rollouts are stopped for new weights and go on with them."""

import json

import pytest

from tests.integration.conftest import Run, succeeded

PROMPTS, N = 8, 8
ASYNCHRONOUS = [
    "trainer.v1.trainer_mode=decomposed_async",
    "trainer.v1.decomposed_async.num_warmup_batches=2",
    "algorithm.rollout_correction.bypass_mode=true",
    "actor_rollout_ref.rollout.calculate_log_probs=true",
    "actor_rollout_ref.rollout.max_num_seqs=8",  # few at a time, so that many are not complete
    "algorithm.advantage=negative",
    "algorithm.sample_selection=mask",
    f"data.train_batch_size={PROMPTS}",
    f"actor_rollout_ref.rollout.n={N}",
    f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
    "data.val_max_samples=4",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
    "trainer.samples_per_step=all",
]


@pytest.fixture(scope="module")
def run(launch) -> Run:
    """Weights that do not change, so that every version of them draws with the same probabilities; then two more steps."""
    settings = [*ASYNCHRONOUS, "actor_rollout_ref.actor.optim.lr=0", "trainer.save_freq=2"]
    succeeded(launch("run_tiny_psr_nsr.sh", *settings, "trainer.total_training_steps=4", name="asynchronous"))
    return succeeded(launch("run_tiny_psr_nsr.sh", *settings, "trainer.total_training_steps=6", name="asynchronous"))


def test_every_step_has_its_samples_and_no_question_comes_twice(run):
    assert sorted(run.metrics) == [1, 2, 3, 4, 5, 6]
    for metrics in run.metrics.values():
        assert (
            metrics["rlvr/kept_count"] == metrics["rlvr/correct_count"] + metrics["rlvr/incorrect_count"] == PROMPTS * N
        )
    asked: list[str] = []
    for step in run.metrics:
        lines = (run.folder / "samples" / f"train_{step:06}.jsonl").read_text().splitlines()
        asked += {json.loads(line)["question_id"] for line in lines}
    assert len(asked) == len(set(asked)) == 6 * PROMPTS, "those that were under way at the checkpoint included"


def test_an_answer_in_pieces_has_the_log_probs_of_one_in_whole(run):
    """Up to the little by which vLLM, which never draws a token that the tokenizer lacks, differs from the engine."""
    spans = [metrics["training/off_policy/trajectory_spans/max"] for metrics in run.metrics.values()]
    assert max(spans) > 1, "some tokens are of other weights than the rest of their sample's"
    for metrics in run.metrics.values():
        assert abs(metrics["actor/ppo_kl"]) < 2e-3
        assert metrics["actor/pg_clipfrac"] == 0
