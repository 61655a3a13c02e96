"""The ``algorithm`` section before a run: method, its settings, which samples it learns from, loss. One line a problem."""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rlvr.incorrect import KINDS
from rlvr.launch.numbers import is_count, is_not_negative
from rlvr.methods import METHODS, SettingError
from rlvr.methods.config import WEIGHT
from rlvr.methods.losses.simko import SimKO
from rlvr.methods.schedule import weight
from rlvr.methods.selection import ESTIMATOR, SELECTIONS, ZERO_VARIANCE
from rlvr.training.rollout_mode import ASYNC

SAMPLER = ("pkg://rlvr.training.sampler", "SelectingReplayBuffer")


def check(config: DictConfig) -> Iterator[str]:
    """All problems."""
    yield from check_names(config)
    yield from check_asynchronous(config)
    yield from check_method(config)
    yield from check_samples(config)
    yield from check_dynamic_sampling(config)
    yield from check_loss(config)


def check_names(config: DictConfig) -> Iterator[str]:
    """What verl looks up by name."""
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    from rlvr.training.trainer import NAME

    estimators = sorted(str(getattr(name, "value", name)) for name in ADV_ESTIMATOR_REGISTRY)
    yield from one_of("algorithm.adv_estimator", config.algorithm.adv_estimator, estimators)
    mode = config.trainer.v1.trainer_mode
    if config.algorithm.adv_estimator == ESTIMATOR and mode not in (NAME, ASYNC):
        yield f"trainer.v1.trainer_mode={mode} cannot skip a step without samples: psr_nsr needs {NAME} or {ASYNC}"
    yield from one_of("trainer.v1.trainer_mode", mode, sorted(TRAINER_REGISTRY))
    sampler = config.trainer.v1.sampler.custom_sampler
    if mode in (NAME, ASYNC) and (sampler.path, sampler.name) != SAMPLER:
        yield f"trainer.v1.trainer_mode={mode} needs trainer.v1.sampler.custom_sampler={{path: {SAMPLER[0]}, name: {SAMPLER[1]}}}"


def check_asynchronous(config: DictConfig) -> Iterator[str]:
    """``trainer.v1.trainer_mode=decomposed_async``, whose samples are of several versions of the weights."""
    if config.trainer.v1.trainer_mode != ASYNC:
        return
    needed = ("algorithm.rollout_correction.bypass_mode", "actor_rollout_ref.rollout.calculate_log_probs")
    missing = [key for key in needed if not OmegaConf.select(config, key)]
    if missing:
        yield (
            f"trainer.v1.trainer_mode={ASYNC} learns from samples of several versions of the weights, by the sampler's log-probs: "
            f"set {' and '.join(missing)} to true"
        )
    if config.algorithm.filter_groups.enable:
        yield f"algorithm.filter_groups.enable=true asks within a step, which trainer.v1.trainer_mode={ASYNC} does not wait for"
    batches = plain(config.trainer.v1[ASYNC].num_warmup_batches)
    if not is_not_negative(batches):
        yield f"trainer.v1.{ASYNC}.num_warmup_batches={batches} must be a number that is not negative"


def check_method(config: DictConfig) -> Iterator[str]:
    """``algorithm.advantage``, ``algorithm.method`` and λ."""
    algorithm, n = config.algorithm, config.actor_rollout_ref.rollout.n
    yield from one_of("algorithm.advantage", algorithm.advantage, list(METHODS))
    try:
        weight(WEIGHT, plain(algorithm[WEIGHT]))
    except SettingError as error:
        yield f"algorithm.{error}"
    settings = {name: plain(value) for name, value in algorithm.method.items() if value is not None}
    if algorithm.adv_estimator != ESTIMATOR:
        for name, value in settings.items():
            yield f"algorithm.method.{name}={value} has no effect: algorithm.adv_estimator={algorithm.adv_estimator} has no method"
        return
    if algorithm.advantage not in METHODS:
        return
    try:
        method = METHODS[algorithm.advantage].from_settings(settings)
    except SettingError as error:
        yield f"algorithm.method.{error} (algorithm.advantage={algorithm.advantage})"
        return
    if method.grouped and n < 2:
        yield f"actor_rollout_ref.rollout.n={n}: algorithm.advantage={algorithm.advantage} compares the samples of a question"
    elif getattr(method, "k", 1) > n:
        yield f"algorithm.method.k={method.k} is above actor_rollout_ref.rollout.n={n}: no question has so many samples"  # type: ignore[attr-defined]


def check_samples(config: DictConfig) -> Iterator[str]:
    """Which samples are learned from, and how much."""
    algorithm = config.algorithm
    yield from one_of("algorithm.sample_selection", algorithm.sample_selection, SELECTIONS)
    if algorithm.zero_variance is not None:
        yield from one_of("algorithm.zero_variance", algorithm.zero_variance, (*ZERO_VARIANCE, "null"))
    if algorithm.zero_variance == "drop" and algorithm.adv_estimator == "gae":
        yield "algorithm.zero_variance=drop: the critic of PPO learns from every sample; set it to null"
    kinds = plain(algorithm.learn_from_incorrect)
    if not isinstance(kinds, list):
        yield f"algorithm.learn_from_incorrect={kinds} must be a list of {', '.join(KINDS)}"
    else:
        for kind in kinds:
            yield from one_of("algorithm.learn_from_incorrect", kind, KINDS)
        if not kinds and algorithm.adv_estimator == ESTIMATOR and algorithm.advantage == "negative":
            yield "algorithm.learn_from_incorrect=[]: algorithm.advantage=negative learns from nothing else"
    learning_weight = algorithm.positive_learning_weight
    if learning_weight is not None:
        if not is_not_negative(learning_weight):
            yield f"algorithm.positive_learning_weight={learning_weight} must be a number that is not negative"
        if algorithm.adv_estimator == ESTIMATOR:
            yield (
                "algorithm.positive_learning_weight acts on the loss of GRPO and PPO; "
                "for psr_nsr use algorithm.advantage=weighted with algorithm.positive_advantage_weight"
            )


def check_dynamic_sampling(config: DictConfig) -> Iterator[str]:
    """``algorithm.filter_groups``, whose keys are upstream's and whose work our sampler does."""
    groups, n = config.algorithm.filter_groups, config.actor_rollout_ref.rollout.n
    if not groups.enable:
        return
    if groups.metric != "reward":
        yield f"algorithm.filter_groups.metric={groups.metric}: questions are left out by their rewards; set it to reward"
    bound = groups.max_num_gen_batches
    if not is_count(bound):
        yield (
            f"algorithm.filter_groups.max_num_gen_batches={bound} must be 1 or more: how many times the batch a step may ask "
            "before it goes on with what it has"
        )
    if n < 2:
        yield f"algorithm.filter_groups.enable=true needs several samples a question, but actor_rollout_ref.rollout.n={n}"
    if config.algorithm.zero_variance == "keep":
        yield "algorithm.zero_variance=keep contradicts algorithm.filter_groups.enable=true, which asks other questions instead"


def check_loss(config: DictConfig) -> Iterator[str]:
    """``policy_loss.loss_mode``, and what SimKO needs of the engine."""
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    actor = config.actor_rollout_ref.actor
    mode = actor.policy_loss.loss_mode
    yield from one_of("actor_rollout_ref.actor.policy_loss.loss_mode", mode, sorted(POLICY_LOSS_REGISTRY))
    if mode != "simko":
        return
    try:
        yield from (f"algorithm.simko.{line}" for line in SimKO(**config.algorithm.simko).problems())
    except TypeError as error:
        yield f"algorithm.simko: {' '.join(str(error).split())}"
    if config.actor_rollout_ref.model.use_fused_kernels:
        yield "actor_rollout_ref.model.use_fused_kernels=true hides the logits that loss_mode=simko needs: set it to false"
    if not (actor.calculate_entropy or actor.entropy_coeff != 0.0):
        yield "loss_mode=simko needs the entropy: set actor_rollout_ref.actor.calculate_entropy=true"
    if not actor.strategy.startswith("fsdp"):
        yield f"loss_mode=simko runs on FSDP alone, but actor_rollout_ref.actor.strategy={actor.strategy}"


# ---- helpers


def one_of(key: str, value: Any, allowed: Any) -> Iterator[str]:
    if value not in allowed:
        yield f"{key}={value} is unknown: choose one of {', '.join(allowed)}"


def plain(value: Any) -> Any:
    """Without OmegaConf's containers."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
