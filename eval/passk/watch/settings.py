"""What was run: the settings that decide a result, all of them, the versions, and in what runs differ. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = "not set"
# label -> key of config.yaml; what a run does not have is left out
MAIN = {
    "model": "actor_rollout_ref.model.path",
    "advantage estimator": "algorithm.adv_estimator",
    "method": "algorithm.advantage",
    "λ of correct samples": "algorithm.positive_advantage_weight",
    "weight of the loss of correct samples": "algorithm.positive_learning_weight",
    "sample selection": "algorithm.sample_selection",
    "incorrect samples learned from": "algorithm.learn_from_incorrect",
    "loss": "actor_rollout_ref.actor.policy_loss.loss_mode",
    "KL loss": "actor_rollout_ref.actor.use_kl_loss",
    "learning rate": "actor_rollout_ref.actor.optim.lr",
    "questions a step": "data.train_batch_size",
    "samples a question": "actor_rollout_ref.rollout.n",
    "temperature": "actor_rollout_ref.rollout.temperature",
    "longest response": "data.max_response_length",
    "training data": "data.train_files",
    "validation data": "data.val_files",
    "steps": "trainer.total_training_steps",
    "questions recorded a step": "trainer.samples_per_step",
}
# Where a run writes and what it is called: different in every two runs
NAMES = ("trainer.experiment_name", "trainer.default_local_dir")


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Dotted key -> value as text."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = _text(value)
    return found


def main(config: Mapping[str, str]) -> dict[str, str]:
    """The settings that decide a result, under their labels."""
    return {label: config[key] for label, key in MAIN.items() if config.get(key, "null") != "null"}


def differences(configs: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Key -> its value in each run, for the keys in which they differ; nothing of a single run."""
    keys = list(dict.fromkeys(key for config in configs for key in config))
    rows = {key: [config.get(key, ABSENT) for config in configs] for key in keys if key not in NAMES}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(_text, value)) if isinstance(value, (list, tuple)) else str(value)
