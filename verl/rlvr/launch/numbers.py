"""Numbers of a configuration that verl would take and come to grief on, or learn nothing with.

Pure: no engine is imported. Each problem is one line that names the key, the value and what it must be.
"""

import math
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

from omegaconf import DictConfig, OmegaConf

MISSING = object()
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


def is_number(value: Any) -> bool:
    """Finite, and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


def is_not_negative(value: Any) -> bool:
    return is_number(value) and value >= 0


Rule = tuple[str, Callable[[Any], bool]]  # what a value must be, in words and as a test
COUNT: Rule = ("a whole number, 1 or more", is_count)
COUNT_OR_NULL: Rule = ("a whole number, 1 or more, or null", lambda value: value is None or is_count(value))
GRADIENT_NORM: Rule = ("above 0: it is the largest norm of a gradient", is_positive)
NOT_NEGATIVE: Rule = ("a number that is not negative", is_not_negative)
PROBABILITY: Rule = ("a number above 0, at most 1", lambda value: is_number(value) and 0 < value <= 1)
DISCOUNT: Rule = ("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
NUMBER: Rule = ("a finite number", is_number)

RULES: dict[str, Rule] = {
    "trainer.total_training_steps": COUNT_OR_NULL,
    "trainer.total_epochs": COUNT,
    "trainer.nnodes": COUNT,
    "trainer.n_gpus_per_node": COUNT,
    "data.train_batch_size": COUNT,
    "data.max_prompt_length": COUNT,
    "data.max_response_length": COUNT,
    f"{ROLLOUT}.n": COUNT,
    f"{ROLLOUT}.temperature": ("above 0: samples of a question that are all the same teach nothing", is_positive),
    f"{ROLLOUT}.top_p": PROBABILITY,
    f"{ROLLOUT}.val_kwargs.n": COUNT,
    f"{ROLLOUT}.val_kwargs.temperature": NOT_NEGATIVE,
    f"{ROLLOUT}.val_kwargs.top_p": PROBABILITY,
    f"{ROLLOUT}.tensor_model_parallel_size": COUNT,
    f"{ACTOR}.ulysses_sequence_parallel_size": COUNT,
    f"{ACTOR}.ppo_mini_batch_size": COUNT,
    f"{ACTOR}.ppo_epochs": COUNT,
    f"{ACTOR}.clip_ratio": NOT_NEGATIVE,
    f"{ACTOR}.clip_ratio_low": NOT_NEGATIVE,
    f"{ACTOR}.clip_ratio_high": NOT_NEGATIVE,
    f"{ACTOR}.entropy_coeff": NUMBER,
    f"{ACTOR}.kl_loss_coef": NOT_NEGATIVE,
    f"{ACTOR}.optim.lr": NOT_NEGATIVE,
    f"{ACTOR}.optim.clip_grad": GRADIENT_NORM,
    "algorithm.gamma": DISCOUNT,
    "algorithm.lam": DISCOUNT,
    "algorithm.kl_ctrl.kl_coef": NOT_NEGATIVE,
    "critic.optim.lr": NOT_NEGATIVE,
    "critic.optim.clip_grad": GRADIENT_NORM,
}
# Keys of verl's configuration that its FSDP workers do not read -> the key that they read.
UNREAD = {f"{ACTOR}.grad_clip": f"{ACTOR}.optim.clip_grad", "critic.grad_clip": "critic.optim.clip_grad"}


def check(config: DictConfig) -> Iterator[str]:
    """All problems."""
    for key, (must_be, fits) in RULES.items():
        value = OmegaConf.select(config, key, default=MISSING)  # a key that is not there is another check's business
        if value is not MISSING and not fits(value):
            yield f"{key}={value} must be {must_be}"
    for key, read in UNREAD.items():
        value = OmegaConf.select(config, key)
        if value is not None and value not in (1.0, OmegaConf.select(config, read)):
            yield f"{key}={value} has no effect in verl's workers: set {read}={value}"
