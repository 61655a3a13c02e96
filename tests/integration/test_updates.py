"""Does a mode still move the model in the direction of its name, and by as much? A fast version of ``make paper``.

Five steps of 32 questions × 8 samples with one update each, fixed seed, on a weak base that often forgets the box. The loss of a
single update is minus the mean advantage, so it shows the size; the likelihood of the answers of the first step shows the sign.
"""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.integration.conftest import Run, succeeded

STEPS = 5
SETTINGS = [
    f"trainer.total_training_steps={STEPS}",
    f"trainer.save_freq={STEPS}",
    "data.train_batch_size=32",
    "actor_rollout_ref.actor.ppo_mini_batch_size=32",
    "actor_rollout_ref.rollout.n=8",
    "actor_rollout_ref.actor.optim.lr=3e-4",
    "trainer.rollout_data_dir=${trainer.default_local_dir}/rollouts",
]
VALIDATED = [
    f"trainer.test_freq={STEPS}",
    "trainer.val_before_train=true",
    "data.val_max_samples=128",
    "actor_rollout_ref.rollout.val_kwargs.n=4",
]


@pytest.fixture(scope="module")
def runs(launch) -> dict[str, Run]:
    settings = {"positive": [*SETTINGS, *VALIDATED], "negative": SETTINGS}
    return {
        mode: succeeded(launch("run_tiny_psr_nsr.sh", *its, f"algorithm.advantage={mode}", name=f"updates-{mode}"))
        for mode, its in settings.items()
    }


def validation(run: Run, name: str) -> tuple[float, float]:
    """Before and after training."""
    return run.metrics[0][f"val-core/{name}"], run.metrics[STEPS][f"val-core/{name}"]


def log_probs(model_folder: Path, rollouts: Path) -> torch.Tensor:
    """(samples,) log-probability of each stored answer, its end included."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    values = []
    for line in rollouts.read_text().splitlines():
        sample = json.loads(line)
        prompt = tokenizer(f"<q>{question(sample['input'])}<a>").input_ids
        ids = torch.tensor([prompt + tokenizer(sample["output"] + "<eos>").input_ids])
        with torch.no_grad():
            every = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        chosen = every.gather(1, ids[0, 1:, None])[:, 0]
        values.append(chosen[len(prompt) - 1 :].sum())
    return torch.stack(values)


def question(text: str) -> str:
    """``4,2->6`` out of a prompt, whose markers may be decoded or not."""
    return text.removeprefix("<q>").removesuffix("<a>").strip()


@pytest.mark.parametrize(("mode", "loss", "sign"), [("positive", -1.0, 1), ("negative", 1.0, -1)])
def test_size_and_sign(runs, tiny, mode, loss, sign):
    run = runs[mode]
    for step in range(1, STEPS + 1):
        assert run.metrics[step]["rlvr/optimizer_steps"] == 1
        assert run.metrics[step]["actor/pg_loss"] == pytest.approx(loss, abs=1e-4)
        assert run.metrics[step]["actor/ppo_kl"] == 0
        # Logged though there is no pass for old log-probs, which would compute it anew: it is the update's own.
        assert run.metrics[step]["actor/entropy"] == run.metrics[step]["actor/entropy_loss"] > 0
    answers = run.folder / "rollouts" / "1.jsonl"
    before = log_probs(tiny / "model", answers)
    after = log_probs(run.folder / f"global_step_{STEPS}" / "actor" / "huggingface", answers)
    assert len(before) == run.metrics[1]["rlvr/kept_count"]
    assert sign * (after - before).mean() > 0.1
    assert (sign * (after - before) > 0).float().mean() > 0.6


def test_psr_raises_pass_at_1_and_takes_entropy(runs):
    before, after = validation(runs["positive"], "rlvr/countdown/pass@1")
    assert after > before + 0.01
    before, after = validation(runs["positive"], "entropy")
    assert after < 0.95 * before
