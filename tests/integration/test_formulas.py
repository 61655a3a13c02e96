"""The engine's whole update equals the formula.

One SGD step, no clip, no bonus: the change of the weights is the gradient that a plain loop over the dumped
samples computes, −Σ A·log π over the tokens of kept samples, for every method; with drop and mask, one and two workers, one and
several micro-batches; and GRPO with its KL term and ``positive_learning_weight``. Two starts of the engine make all updates.
By default every method is there once; ``pytest --all-updates tests/integration/test_formulas.py`` makes all of them (some minutes).

What the plain side knows of this project is tests/plain_methods.py alone.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from rlvr.methods import METHODS
from tests.conftest import ROOT
from tests.integration.update_lab import moved
from tests.plain_methods import PLAIN, Counts

TOLERANCE = 1e-4  # of the length of the whole update
NOISE = 1e-3
LEARNING_RATE = 16.0  # a small update would be lost in the rounding of the weights; a power of two adds none of its own
QUESTIONS = 12
LOSS = "actor_rollout_ref.actor.policy_loss.loss_mode"
SIMKO = {"k": 3, "alpha": 0.3, "quantile": 0.77, "boost": 1.5}
KINDS = ["wrong", "no_answer", "truncated", "unreadable"]


@dataclass(frozen=True)
class Case:
    """One update: what is set, and what of it the plain side needs to know. ``method`` is a key of ``PLAIN``."""

    name: str
    method: str
    mask: bool = False
    zero_variance: str | None = None
    learned: tuple[str, ...] = tuple(KINDS)
    loss: str = "decomposed"
    kl: bool = False
    learning_weight: float | None = None
    dynamic: bool = False
    micro_batch: int | None = None

    @property
    def noise(self) -> float:
        return NOISE if self.kl else 0.0

    def request(self) -> dict[str, Any]:
        upstream = self.method == "grpo"
        settings = {
            "algorithm.adv_estimator": "grpo" if upstream else "psr_nsr",
            "algorithm.advantage": "negative" if upstream else self.method,
            "algorithm.sample_selection": "mask" if self.mask else "drop",
            "algorithm.zero_variance": self.zero_variance,
            "algorithm.learn_from_incorrect": list(self.learned),
            "algorithm.positive_learning_weight": self.learning_weight,
            "algorithm.filter_groups.enable": self.dynamic,
            "actor_rollout_ref.actor.use_kl_loss": self.kl,
            LOSS: self.loss,
        }
        step = {"noise": self.noise, "micro_batch": self.micro_batch, "learning_rate": LEARNING_RATE}
        return {"name": self.name, "settings": settings, **step}


EVERY = [
    Case(f"{method}-{'mask' if mask else 'drop'}", method, mask=mask)
    for method in sorted(METHODS)
    for mask in (False, True)
]
SPECIAL = [
    Case("negative-micro-batches", "negative", micro_batch=64),
    Case("weighted-micro-batches", "weighted", micro_batch=64),
    Case("rloo-mask-micro-batches", "rloo", mask=True, micro_batch=64),
    Case("negative-of-two-kinds", "negative", learned=("wrong", "grader_failed")),
    Case("rloo-of-one-kind-mask", "rloo", learned=("wrong",), mask=True),
    Case("negative-zero-variance-dropped", "negative", zero_variance="drop"),
    Case("dr_grpo-zero-variance-kept", "dr_grpo", zero_variance="keep"),
    Case("grpo", "grpo"),
    Case("grpo-kl", "grpo", kl=True),
    Case("grpo-kl-zero-variance-dropped", "grpo", kl=True, zero_variance="drop", micro_batch=64),
    Case("grpo-kl-learning-weight", "grpo", kl=True, learning_weight=0.3),
    Case("negative-dynamic-sampling", "negative", dynamic=True),
    Case("topr", "weighted", loss="topr"),
    Case("simko", "rloo", loss="simko"),
]
TWO_WORKERS = [  # a row of padding is 128 tokens long, and no micro-batch may be shorter
    *(case for case in EVERY if case.method in ("negative", "weighted", "rloo", "a_grae")),
    Case("weighted-micro-batches", "weighted", micro_batch=256),
    Case("grpo-kl-learning-weight", "grpo", kl=True, learning_weight=0.3),
]

ESTIMATORS = [
    "grpo", "rloo", "reinforce_plus_plus", "reinforce_plus_plus_baseline", "opo", "gpg", "grpo_passk",
    "grpo_vectorized", "rloo_vectorized",
]  # fmt: skip
LOSSES = [
    "vanilla", "gspo", "sapo", "gpg", "clip_cov", "kl_cov", "geo_mean", "cispo", "dppo_tv", "dppo_kl", "dro",
]  # fmt: skip
MINI_BATCHES = {
    "actor_rollout_ref.actor.ppo_mini_batch_size": 6,
    "algorithm.learn_from_incorrect": [*KINDS, "grader_failed"],  # grpo_passk refuses rows of padding
    "actor_rollout_ref.actor.policy_loss.dro_beta": 0.1,  # dro demands one
}
UPSTREAM = [  # each loss with one of the estimators
    {"name": f"upstream-{loss}-{estimator}", "steps": 2,
     "settings": MINI_BATCHES | {"algorithm.adv_estimator": estimator, LOSS: loss}}
    for loss, estimator in zip(LOSSES, ESTIMATORS + ESTIMATORS[:2])
]  # fmt: skip
DEFAULT = {
    "a_grae-drop", "asymre-mask", "dr_grpo-drop", "maxrl-mask", "negative-micro-batches", "ngrpo-drop", "passk_training-mask",
    "positive-drop", "rloo-mask-micro-batches", "weighted-drop", "rloo-of-one-kind-mask", "grpo-kl-zero-variance-dropped",
    "grpo-kl-learning-weight", "negative-dynamic-sampling", "topr", "simko",
}  # fmt: skip
DEFAULT_OF_TWO = {"negative-drop", "rloo-mask", "weighted-micro-batches", "grpo-kl-learning-weight"}


def cases_of(config: pytest.Config, workers: int) -> list[Case]:
    every, default = ([*EVERY, *SPECIAL], DEFAULT) if workers == 1 else (TWO_WORKERS, DEFAULT_OF_TWO)
    assert default <= {case.name for case in every}
    return every if config.getoption("all_updates") else [case for case in every if case.name in default]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, workers in (("one_worker", 1), ("two_workers", 2)):
        if {fixture, "case"} <= set(metafunc.fixturenames):
            cases = cases_of(metafunc.config, workers)
            metafunc.parametrize("case", cases, ids=[case.name for case in cases])


def run_lab(folder: Path, tiny: Path, workers: int, cases: list[dict[str, Any]]) -> Path:
    """All cases in one start of the engine."""
    (folder / "cases.json").write_text(json.dumps(cases))
    settings = [
        "~hydra.callbacks.preflight",  # knows the trainers of users alone
        "trainer.v1.trainer_mode=update_lab",
        "+trainer.v1.update_lab={}",
        "reward.custom_reward_function.path=pkg://tests.integration.update_lab",
        f"data.train_files={tiny}/train.parquet",
        f"data.val_files={tiny}/test.parquet",
        f"actor_rollout_ref.model.path={tiny}/model",
        f"trainer.default_local_dir={folder}",
        f"trainer.n_gpus_per_node={workers}",
        "trainer.experiment_name=lab",
        "trainer.logger=[]",
        "trainer.samples_per_step=0",  # the lab clears a step's rows by itself
        f"data.train_batch_size={QUESTIONS}",
        "data.gen_batch_size=1",  # so that any number of questions can be asked
        "actor_rollout_ref.rollout.n=5",
        "actor_rollout_ref.actor.ppo_mini_batch_size=12",
        "actor_rollout_ref.actor.entropy_coeff=0",
        "actor_rollout_ref.actor.kl_loss_coef=0.5",
        "actor_rollout_ref.actor.optim={optimizer: SGD, lr: 1.0, weight_decay: 0.0, clip_grad: 1e9}",
        *(f"algorithm.simko.{name}={value}" for name, value in SIMKO.items()),
    ]
    env = os.environ | {"UPDATE_LAB": str(folder), "VERL_USE_EXTERNAL_MODULES": "tests.integration.update_lab"}
    env["PYTHONPATH"] = f"{ROOT}:{env.get('PYTHONPATH', '')}"
    command = ["bash", str(ROOT / "run_tiny_grpo.sh"), *settings]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    (folder / "log.txt").write_text(done.stdout)
    assert done.returncode == 0, done.stdout[-8000:]
    return folder


@pytest.fixture(scope="module")
def one_worker(request, tiny, tmp_path_factory) -> Path:
    cases = [case.request() for case in cases_of(request.config, 1)] + UPSTREAM
    return run_lab(tmp_path_factory.mktemp("lab1"), tiny, 1, cases)


@pytest.fixture(scope="module")
def two_workers(request, tiny, tmp_path_factory) -> Path:
    cases = [case.request() for case in cases_of(request.config, 2)]
    return run_lab(tmp_path_factory.mktemp("lab2"), tiny, 2, cases)


# ---- the plain side


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads wait for each other longer than a tiny model computes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plain_update(case: Case, samples: list[dict[str, Any]], model_folder: Path) -> dict[str, torch.Tensor]:
    """The gradient of the loss, one sample after the other."""
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="sdpa")
    reference = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="sdpa")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(moved(parameter, case.noise))
    total, tokens = torch.zeros(()), 0
    for sample, advantage in kept_samples(case, samples):
        logits = response_logits(model, sample)
        chosen = torch.tensor(sample["responses"])[:, None]
        log_probs = logits.log_softmax(-1)
        of_tokens = log_probs.gather(1, chosen)[:, 0]
        weight = case.learning_weight if case.learning_weight is not None and sample["reward"] == 1 else 1.0
        if case.loss == "simko":
            total = total - simko_objective(log_probs, chosen, advantage)
        else:
            total = total - weight * advantage * of_tokens.sum()
        if case.kl:
            with torch.no_grad():
                of_reference = response_logits(reference, sample).log_softmax(-1).gather(1, chosen)[:, 0]
            difference = of_reference - of_tokens
            total = total + 0.5 * (difference.exp() - difference - 1).sum()
        tokens += len(sample["responses"])
    (total / tokens).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def response_logits(model: Any, sample: dict[str, Any]) -> torch.Tensor:
    """(response tokens, vocabulary)."""
    ids = torch.tensor([sample["prompts"] + sample["responses"]])
    return model(input_ids=ids).logits[0, len(sample["prompts"]) - 1 : -1]


def simko_objective(log_probs: torch.Tensor, chosen: torch.Tensor, advantage: float) -> torch.Tensor:
    """Σ A·log π of an answer with what SimKO changes at its uncertain tokens."""
    of_tokens = log_probs.gather(1, chosen)[:, 0]
    entropy = -(log_probs.exp() * log_probs).sum(-1).detach()
    uncertain = entropy > entropy.quantile(SIMKO["quantile"])
    if advantage > 0:
        of_top = log_probs.topk(SIMKO["k"], dim=-1).values.mean(-1)
        mixed = (1 - SIMKO["alpha"]) * of_tokens + SIMKO["alpha"] * of_top
        return advantage * torch.where(uncertain, mixed, of_tokens).sum()
    is_top = log_probs.argmax(-1) == chosen[:, 0]
    return (advantage * torch.where(uncertain & is_top, SIMKO["boost"], 1.0) * of_tokens).sum()


def kept_samples(case: Case, samples: list[dict[str, Any]]) -> list[tuple[dict[str, Any], float]]:
    """(sample, advantage) of what stays in the step."""
    counted = [one for one in samples if one["kind"] is None or one["kind"] in case.learned]
    if case.dynamic:
        rewards = {q: {one["reward"] for one in counted if one["question"] == q} for q in questions(samples)}
        first = [question for question in questions(samples) if len(rewards[question]) == 2][:QUESTIONS]
        samples = [one for one in samples if one["question"] in first]
        counted = [one for one in counted if one["question"] in first]
    mean = sum(one["reward"] for one in counted) / len(counted)
    found = []
    for sample in samples:
        group = [one["reward"] for one in counted if one["question"] == sample["question"]]
        if sample not in counted:
            stays, advantage = case.mask, 0.0
        else:
            counts = Counts(len(group), int(sum(group)), mean)
            advantage = PLAIN[case.method](counts, int(sample["reward"]))
            if case.method == "grpo" and counts.n == 1:
                advantage = sample["reward"]  # upstream's choice for a question of which one sample is left
            stays = case.mask or case.method in ("weighted", "grpo") or advantage != 0
            if case.zero_variance is not None and counts.c in (0, counts.n):
                stays = case.zero_variance == "keep"
        if stays:
            found.append((sample, advantage))
    return found


def questions(samples: list[dict[str, Any]]) -> list[str]:
    """In the order in which they came."""
    return list(dict.fromkeys(one["question"] for one in samples))


def relative_error(case: Case, lab: Path, tiny: Path) -> float:
    """Of the change of all weights, taken as one vector."""
    record = json.loads((lab / f"{case.name}.json").read_text())
    expected = plain_update(case, record["samples"], tiny / "model")
    change = load_file(lab / f"{case.name}.safetensors")
    assert change.keys() == expected.keys()
    one, other = (torch.cat([w[name].flatten().double() for name in sorted(expected)]) for w in (change, expected))
    assert other.norm() > 1e-3, "an update of nothing proves nothing"
    error = ((one - other).norm() / other.norm()).item()
    print(f"{case.name}: {error:.1e}")
    return error


def test_the_update_is_the_formula(one_worker, tiny, case):
    assert relative_error(case, one_worker, tiny) <= TOLERANCE


def test_dynamic_sampling_asked_other_questions(one_worker):
    record = json.loads((one_worker / "negative-dynamic-sampling.json").read_text())
    asked = len(questions(record["samples"]))
    assert record["metrics"]["rlvr/refilled_questions"] == asked - QUESTIONS > 0
    assert record["metrics"]["rlvr/missing_questions"] == 0
    assert asked == record["metrics"]["rlvr/questions"]


def test_the_update_of_two_workers_is_the_formula(two_workers, tiny, case):
    assert relative_error(case, two_workers, tiny) <= TOLERANCE


@pytest.mark.parametrize("upstream", UPSTREAM, ids=lambda upstream: upstream["name"])
def test_upstreams_estimators_and_losses_run_under_our_trainer(one_worker, upstream):
    """Two steps of two mini-batches each."""
    metrics = json.loads((one_worker / f"{upstream['name']}.json").read_text())["metrics"]
    change = load_file(one_worker / f"{upstream['name']}.safetensors")
    assert metrics["rlvr/optimizer_steps"] == 2
    assert 0 <= metrics["actor/grad_norm"] < float("inf")
    assert all(one.isfinite().all() for one in change.values())
    if "passk" not in upstream["name"]:  # learns of questions that were answered once alone: perhaps there is none
        assert metrics["actor/grad_norm"] > 0
        assert any(one.any() for one in change.values())
