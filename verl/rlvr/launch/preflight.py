"""Checks before Ray starts: a Hydra callback that our configurations name, so that upstream's entry point runs it.

    python3 -m verl.trainer.main_ppo --config-dir=configs --config-name=psr_nsr …

Every problem is one line that names the key, the value and the way out; the exit code is 2. It also proves that the plugin is
loaded (verl swallows plugin errors). Deliberately left out: what upstream's own ``validate_config`` checks right afterwards.
"""

import asyncio
import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlvr.hub import may_be_hub_id
from rlvr.incorrect import KINDS, RIGHT
from rlvr.launch import algorithm, bucket, data_files, numbers, override_types, prompt_tokens, rules, shapes
from rlvr.outputs import check_folder
from rlvr.prompts import TEMPLATES
from rlvr.records import DataError
from rlvr.training.rollout_mode import MANAGER, needs_upstream
from rlvr.verify.verifiers import given_kind

EXIT_CODE = 2
MADE_WITH = {"data/tiny/model": "python -m rlvr.tiny", "data/smollm2-135m/model": "scripts/prepare_smollm2"}


class ConfigError(ValueError):
    """One problem, in one line."""


class Preflight(Callback):
    """Runs :func:`check` on the composed configuration; exits with code 2 if anything is wrong."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        # Hydra turns an Exception of a callback into a warning, and the run would go on unchecked; SystemExit passes.
        try:
            # The other checks calculate with these values.
            problems = list(override_types.check_run(config)) or check(config)
        except Exception:  # noqa: BLE001
            traceback.print_exc()
            sys.exit("the checks before the run failed themselves; see above")
        for problem in problems:
            print(f"config error: {problem}", file=sys.stderr)
        if problems:
            sys.exit(EXIT_CODE)


def check(config: DictConfig, *, here: bool = True) -> list[str]:
    """All problems of a configuration, one line each; empty when it may run. ``here``: also whether this machine can run it."""
    problems = list(numbers.check(config))
    if problems:  # the other checks calculate with them
        return problems
    parts = (
        check_plugin,
        algorithm.check,
        check_device,
        check_model,
        check_limits,
        check_optimizer,
        bucket.check,
        check_data_files,
        check_reward,
        check_kept_files,
        check_watch,
        check_checkpoints,
    )
    for part in (*parts, check_gpu, check_output) if here else parts:
        try:
            problems.extend(part(config))
        except (ConfigError, OmegaConfBaseException) as error:
            problems.append(" ".join(str(error).split()))
    return problems


def check_plugin(config: DictConfig) -> Iterator[str]:
    import verl  # noqa: F401  (loads the plugin through its entry point)

    plugin = sys.modules.get("rlvr.plugin")
    if plugin is None:
        yield "the plugin of rlvr-decomposed is not loaded by verl: reinstall with `make install` (entry point verl.plugins)"
        return
    for name in plugin.missing_registrations():
        yield f"verl does not know the {name}: reinstall with `make install`"


def check_device(config: DictConfig) -> Iterator[str]:
    from rlvr import cpu

    device = config.trainer.device
    if device == "cpu" and not cpu.chosen():
        yield "trainer.device=cpu needs VERL_PLATFORM=cpu in the environment: source scripts/env_cpu.sh"
    if device != "cpu" and cpu.chosen():
        yield f"trainer.device={device} but VERL_PLATFORM=cpu is set: unset it, or choose machine=cpu"


def check_gpu(config: DictConfig) -> Iterator[str]:
    import torch

    from rlvr import cpu

    if cpu.chosen():
        return
    on_cluster = os.environ.get("RAY_ADDRESS") or config.ray_kwargs.ray_init.get("address")
    if config.trainer.device == "cuda" and not on_cluster and not torch.cuda.is_available():
        yield "trainer.device=cuda but torch sees no GPU on this machine: choose machine=cpu"


def check_output(config: DictConfig) -> Iterator[str]:
    """Whether the run can write where it is to; it does so only after Ray and the engine have started."""
    try:
        check_folder(Path(config.trainer.default_local_dir))
    except DataError as error:
        yield f"trainer.default_local_dir={config.trainer.default_local_dir}: {error}"


def check_model(config: DictConfig) -> Iterator[str]:
    path = config.actor_rollout_ref.model.path
    if Path(path).is_dir():
        if not (Path(path) / "config.json").is_file():
            yield f"actor_rollout_ref.model.path={path} has no config.json: it is not a Hugging Face model folder"
        return
    if not may_be_hub_id(path):
        hint = f"; make it with `{MADE_WITH[path]}`" if path in MADE_WITH else ""
        yield f"actor_rollout_ref.model.path={path} does not exist{hint}"


def check_limits(config: DictConfig) -> Iterator[str]:
    """Token budgets, lengths and sizes that verl would only stumble over in the middle of a run."""
    from verl.trainer.ppo.utils import need_critic

    try:
        fields, _ = shapes.find_config(config.actor_rollout_ref.model.path)
        shape = shapes.shape_of(fields) if fields else None
    except (OSError, ValueError):
        shape = None  # a folder that is no model is named above; of an unknown kind of model nothing is demanded
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # verl warns of every method without a critic
        critic = need_critic(config)
    yield from rules.check(config, shape, critic=critic)


def check_optimizer(config: DictConfig) -> Iterator[str]:
    """Build the optimizer that the training workers will build, of one parameter."""
    import torch
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.config.optimizer import build_optimizer

    actor = config.actor_rollout_ref.actor
    if not actor.strategy.startswith("fsdp"):
        return
    try:
        build_optimizer([torch.nn.Parameter(torch.zeros(1))], omega_conf_to_dataclass(actor.optim))
    # Whatever optimizer is named raises what it likes: each is a finding here, not a crash.
    except Exception as error:  # noqa: BLE001
        yield f"actor_rollout_ref.actor.optim: {type(error).__name__}: {error}"


def check_data_files(config: DictConfig) -> Iterator[str]:
    yield from algorithm.one_of("data.prompt_template_type", config.data.prompt_template_type, sorted(TEMPLATES))
    if foreign := prompt_tokens.foreign_template(config):
        print(f"warning: {foreign}", file=sys.stderr)
    yield from data_files.check(config)


def check_reward(config: DictConfig) -> Iterator[str]:
    """Grade one question of each data source, once without an answer: a verifiable reward is 0 or 1."""
    yield from _check_reward_workers(config)
    function = _reward_function(config)
    if function is None:
        return
    for data_source, ground_truth in data_files.one_gold_per_source(config).items():
        kind = given_kind(data_source, data_files.verifiers_of(config))
        try:
            result = function(
                data_source=data_source,
                solution_str="",
                ground_truth=ground_truth,
                extra_info={"verifier": kind} if kind else {},
            )
            if inspect.isawaitable(result):
                result = asyncio.run(_resolve(result))
        # A user's own function may raise anything; here every failure is a finding, not a crash.
        except Exception as error:  # noqa: BLE001
            yield f"the reward function failed on data source {data_source!r}: {type(error).__name__}: {error}"
            continue
        score = result["score"] if isinstance(result, Mapping) else result
        if score not in (0, 1):
            yield f"the reward of data source {data_source!r} is {score!r}: a verifiable reward is 0 or 1"
        said = result.get("kind", RIGHT) if isinstance(result, Mapping) else RIGHT
        if said not in (*KINDS, RIGHT):
            yield f"the reward function says kind={said!r} of data source {data_source!r}: choose one of {', '.join(KINDS)}"


def check_kept_files(config: DictConfig) -> Iterator[str]:
    """How many checkpoints and samples are kept."""
    from rlvr.training.recorder import ALL

    keep = config.trainer.max_actor_ckpt_to_keep
    if keep is not None and (not isinstance(keep, int) or keep < 2):
        yield f"trainer.max_actor_ckpt_to_keep={keep} must be 2 or more (verl removes the old one first), or null for all"
    samples = config.trainer.samples_per_step
    if samples != ALL and (isinstance(samples, bool) or not isinstance(samples, int) or samples < 0):
        yield f"trainer.samples_per_step={samples} must be a number of questions, 0 for none, or {ALL}"


def check_watch(config: DictConfig) -> Iterator[str]:
    timeout = config.trainer.watchdog.timeout_s
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0):
        yield f"trainer.watchdog.timeout_s={timeout} must be a number of seconds above 0, or null for never"


def check_checkpoints(config: DictConfig) -> Iterator[str]:
    from rlvr.training.checkpoints import NoCompleteCheckpoint, where_to_resume

    if config.trainer.resume_mode == "auto":
        try:
            where_to_resume(Path(config.trainer.default_local_dir))
        except NoCompleteCheckpoint as error:
            yield str(error)


# ---- helpers


def _check_reward_workers(config: DictConfig) -> Iterator[str]:
    manager = config.actor_rollout_ref.rollout.agent.get("agent_loop_manager_class")
    reason = needs_upstream(config) if manager == MANAGER else f"agent_loop_manager_class={manager}"
    if reason is not None and config.reward.num_workers < 1:
        yield f"reward.num_workers={config.reward.num_workers}, but with {reason} reward workers grade: set 1 or more"


def _reward_function(config: DictConfig) -> Any:
    from verl.utils.import_utils import load_extern_object

    custom = OmegaConf.select(config, "reward.custom_reward_function")
    if custom is None or custom.path is None:
        return None
    try:
        return load_extern_object(module_path=custom.path, object_name=custom.name)
    except (ImportError, FileNotFoundError, AttributeError) as error:
        raise ConfigError(f"reward.custom_reward_function: {custom.path}, {custom.name}: {error}") from error


async def _resolve(awaitable: Any) -> Any:
    return await awaitable
