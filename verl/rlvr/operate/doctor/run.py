"""The run that is planned: its configuration, data and model, composed as the launchers do it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from rlvr import machine
from rlvr.hub import may_be_hub_id
from rlvr.launch import data_files, dry_run, preflight
from rlvr.launch.memory import GIB
from rlvr.operate.doctor import Finding, green, red, yellow


def compose(config_dir: Path, config_name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``main_ppo --config-dir=… --config-name=… overrides``.

    Raises:
        hydra.errors.HydraException: for an unknown key, group or file.
    """
    arguments = [f"--config-dir={config_dir}", f"--config-name={config_name}"]
    return dry_run.compose([*arguments, "trainer.experiment_name=doctor", *overrides])


def check(config: DictConfig, here: bool = True) -> Iterator[Finding]:
    """Every problem that the run itself would stop at, and whether the model's files can be read.

    Args:
        config: the composed configuration.
        here: whether the run will be on this machine; else its GPUs, its memory and its folder are not looked at.
    """
    problems = preflight.check(config, here=here)
    yield from (red("run", problem, "correct the setting that the line names") for problem in problems)
    if not problems:
        files = [file for key in data_files.KEYS for file in data_files.files(config.data[key])]
        yield green("data", ", ".join(files))
    yield from check_model(config.actor_rollout_ref.model.path)
    estimate = dry_run.estimate(config)
    if here and estimate is not None:
        needed = max(estimate.host, estimate.loading) * config.trainer.n_gpus_per_node
        yield from check_main_memory(needed, machine.total_memory())


def check_main_memory(needed: float, total: int) -> Iterator[Finding]:
    """What the estimate says that the run keeps in main memory, without Ray's object store and the programs themselves."""
    text = f"the run keeps about {needed / GIB:.0f} GiB in main memory, of {total / GIB:.0f} GiB"
    if needed < 0.9 * total:
        yield green("main memory", text)
    else:
        yield yellow(
            "main memory", text, "more GPUs share it (MACHINE=node8), or gpu24's LoRA keeps less: docs/hardware.md"
        )


def check_model(path: str) -> Iterator[Finding]:
    """Configuration, tokenizer and every weight file's header; a hub id only when it is in the cache."""
    from huggingface_hub import try_to_load_from_cache
    from safetensors import SafetensorError, safe_open
    from transformers import AutoConfig, AutoTokenizer

    if not Path(path).is_dir():
        is_hub_id = may_be_hub_id(path)
        if is_hub_id and isinstance(try_to_load_from_cache(path, "config.json"), str):
            yield green("model", f"{path}, in the hub's cache")
        elif is_hub_id:
            yield yellow("model", f"{path} is not on this machine; the run would fetch it", f"hf download {path}")
        return  # a folder that does not exist is a line of check() already
    weights = sorted(Path(path).glob("*.safetensors"))
    try:
        AutoConfig.from_pretrained(path)
        AutoTokenizer.from_pretrained(path)
        for file in weights:
            with safe_open(file, framework="pt"):
                pass
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        yield red("model", f"{path}: {' '.join(str(error).split())}", "fetch or export it again")
        return
    if not weights and not list(Path(path).glob("pytorch_model*.bin")):
        yield red("model", f"{path} has no weights (*.safetensors)", "fetch or export it again")
    else:
        yield green("model", f"{path}: configuration, tokenizer, {len(weights)} weight files")


def ray_cpus(config: DictConfig) -> int | None:
    value = OmegaConf.select(config, "ray_kwargs.ray_init.num_cpus")
    return None if value is None else int(value)
