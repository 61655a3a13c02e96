"""Build what verl and vLLM would build from a configuration: verl's dataclasses, vLLM's engine arguments and its configuration.

Nothing is downloaded and no device is needed. A model that is not on this machine is stood in for by a folder with its
``config.json``. Left out, because they need the model's files or a device: its tokenizer, and what vLLM decides from the GPU.
"""

import asyncio
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict


def check(config: DictConfig, model_config: Mapping[str, Any] | None, *, critic: bool, reference: bool) -> list[str]:
    """All problems, one line each. ``model_config``: fields of ``config.json``; None leaves out what needs them."""
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        local = stand_in(config, model_config, Path(folder))
        critic = critic and model_config is not None  # the critic's dataclass holds the model's
        checks = dataclasses(local, critic=critic, reference=reference)
        if model_config is None:
            del checks["actor_rollout_ref.model"]
        for what, build in checks.items():
            problems.extend(f"{what}: {problem}" for problem in attempt(build))
        if problems:  # the rest builds the same dataclasses and would say the same
            return problems
        problems.extend(attempt(lambda: upstream_checks(local, critic=critic, reference=reference)))
        if model_config is not None:
            problems.extend(f"vLLM's arguments: {problem}" for problem in attempt(lambda: engine_config(local)))
    return problems


def attempt(build: Callable[[], Any]) -> Iterator[str]:
    """The error of ``build`` in one line; what it prints is dropped."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            build()
    except SystemExit:  # vLLM's argument parser; its last line is the error
        yield said.getvalue().strip().rpartition("\n")[2]
    # verl's and vLLM's validators raise whatever they like: each is a finding here, not a crash.
    except Exception as error:  # noqa: BLE001
        yield f"{type(error).__name__}: {' '.join(str(error).split())}"


def stand_in(config: DictConfig, model_config: Mapping[str, Any] | None, folder: Path) -> DictConfig:
    """A copy of the configuration whose model is ``folder`` with a ``config.json``, without a tokenizer."""
    if model_config is not None:
        (folder / "config.json").write_text(json.dumps(dict(model_config)))
    local = config.copy()
    for section in (local.actor_rollout_ref.model, local.critic.model):
        with open_dict(section):
            section.path = str(folder)
            section.hf_config_path = section.tokenizer_path = None
            section.load_tokenizer = False
            section.custom_chat_template = None
    return local


def upstream_checks(config: DictConfig, *, critic: bool, reference: bool) -> None:
    """What ``verl.trainer.main_ppo`` calls first."""
    from verl.utils.config import validate_config

    validate_config(config=config, use_reference_policy=reference, use_critic=critic)


def dataclasses(config: DictConfig, *, critic: bool, reference: bool) -> dict[str, Callable[[], Any]]:
    """key -> how verl builds its dataclass."""
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.skip.config import SkipManagerConfig

    models = config.actor_rollout_ref
    checks: dict[str, Callable[[], Any]] = {
        "actor_rollout_ref.model": lambda: omega_conf_to_dataclass(models.model),
        "actor_rollout_ref.actor": lambda: omega_conf_to_dataclass(models.actor),
        "actor_rollout_ref.rollout": lambda: omega_conf_to_dataclass(models.rollout),
        "actor_rollout_ref.rollout.checkpoint_engine": lambda: omega_conf_to_dataclass(
            models.rollout.checkpoint_engine
        ),
        "skip": lambda: omega_conf_to_dataclass(config.skip, dataclass_type=SkipManagerConfig),
    }
    if reference:
        checks["actor_rollout_ref.ref"] = lambda: omega_conf_to_dataclass(reference_section(config))
    if critic:
        checks["critic"] = lambda: omega_conf_to_dataclass(config.critic)
    return checks


def reference_section(config: DictConfig) -> DictConfig:
    """``actor_rollout_ref.ref`` as verl's worker rewrites it before it builds the dataclass."""
    section = config.actor_rollout_ref.ref.copy()
    with open_dict(section):
        section.ppo_mini_batch_size = config.actor_rollout_ref.actor.ppo_mini_batch_size
        section.ppo_micro_batch_size = section.pop("log_prob_micro_batch_size", None)
        section.ppo_micro_batch_size_per_gpu = section.pop("log_prob_micro_batch_size_per_gpu", None)
        section.use_dynamic_bsz = section.pop("log_prob_use_dynamic_bsz", False)
        section.ppo_max_token_len_per_gpu = section.pop("log_prob_max_token_len_per_gpu", None)
    return section


def engine_config(config: DictConfig) -> Any:
    """vLLM's configuration, from the arguments that verl's own server class puts together.

    On a machine without a GPU it is built for the CPU: without sleep mode, on one device.
    """
    from verl.utils.config import omega_conf_to_dataclass

    use_cpu_without_gpu()
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.usage.usage_lib import UsageContext

    from rlvr.training.vllm_server import BatchedVLLMServer

    class ArgumentsOnly(BatchedVLLMServer):
        """The server up to the point where it would start the engine."""

        def __init__(self) -> None:
            self.config = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
            self.model_config = omega_conf_to_dataclass(config.actor_rollout_ref.model)
            self._validate_configs()
            self.replica_rank = self.node_rank = 0
            self.nnodes = 1
            self._disaggregation_role = "null"
            self.gpus_per_node = config.trainer.n_gpus_per_node
            self.workers = [None] * self.gpus_per_node
            self._master_address, self._master_port, self._dp_rpc_port = "127.0.0.1", 0, 0

        def _should_profile(self) -> bool:
            return False

        async def run_server(self, args: Any) -> None:
            self.arguments = args

    server = ArgumentsOnly()
    asyncio.run(server.launch_server())
    arguments = AsyncEngineArgs.from_cli_args(server.arguments)
    if not current_platform.is_cuda():
        arguments.enable_sleep_mode = False
        arguments.tensor_parallel_size = 1
    return arguments.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)


def use_cpu_without_gpu() -> None:
    """vLLM's CUDA build finds no device on a login node, and then refuses to build any configuration: there it takes the CPU's.

    Right after ``vllm.platforms`` was imported and before anything asks it which platform this is.
    """
    from vllm import platforms

    if platforms.current_platform.device_type:
        return
    from vllm.platforms.cpu import CpuPlatform

    platforms._current_platform = CpuPlatform()
    for module in list(sys.modules.values()):  # those that took the name before
        if getattr(module, "__name__", "").startswith("vllm.") and "current_platform" in vars(module):
            vars(module)["current_platform"] = platforms._current_platform


def resolved_yaml(config: DictConfig) -> str:
    """The configuration as a run saves it in ``config.yaml``."""
    return OmegaConf.to_yaml(config, resolve=True)
