"""Everything about a run that can be checked before it: no GPU, no Ray, no download.

    DRY_RUN=1 bash run_qwen2.5-math-7b_psr_nsr.sh [key=value …]
    python3 -m rlvr.launch.dry_run --config-dir=configs --config-name=psr_nsr … (the arguments of verl.trainer.main_ppo)

Prints the resolved YAML, the memory estimate and the plan to stdout, and one line for each problem to stderr. Exits with 0, or
with 2 if anything is wrong. Deliberately left out: what needs the model's weights, and whether Ray will start.
"""

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from rlvr.launch import advice, data_files, memory, numbers, override_types, preflight, prompt_tokens, shapes, validate
from rlvr.launch.settings import checkpoint_bytes, memory_settings, plan_of


@dataclass
class Report:
    """What a dry run found."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sections: dict[str, list[str]] = field(default_factory=dict)  # title -> lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    try:
        config = compose(sys.argv[1:] if arguments is None else arguments)
        text = validate.resolved_yaml(config)
    # Hydra's own errors name the key or the file; each is about the command that was given.
    except (HydraException, OmegaConfBaseException) as error:
        print(f"config error: {' '.join(str(error).split())}", file=sys.stderr)
        return preflight.EXIT_CODE
    print(text)
    logging.disable(logging.WARNING)  # verl and vLLM log to stdout while they are imported
    try:
        report = inspect(config)
    finally:
        logging.disable(logging.NOTSET)
    for title, lines in report.sections.items():
        print(f"\n{title}")
        print("\n".join(f"  {line}" for line in lines))
    for note in report.notes:
        print(f"\nnote: {note}")
    sys.stdout.flush()
    for problem in report.problems:
        print(f"config error: {problem}", file=sys.stderr)
    print(f"\ndry run: {'nothing is wrong' if not report.problems else f'{len(report.problems)} problem(s)'}")
    return preflight.EXIT_CODE if report.problems else 0


def compose(arguments: Sequence[str]) -> DictConfig:
    """The configuration that ``verl.trainer.main_ppo`` composes from the same arguments.

    Raises:
        hydra.errors.HydraException: for an unknown key, group or file, or a value of another type than its key's default.
    """
    from hydra import compose, initialize_config_dir

    import verl  # noqa: F401  (loads the plugin, whose resolvers the configuration uses)

    parser = argparse.ArgumentParser(prog="rlvr.launch.dry_run")
    parser.add_argument("--config-dir", type=Path, default=Path("configs"))
    parser.add_argument("--config-name", required=True)
    parser.add_argument("overrides", nargs="*")
    known = parser.parse_intermixed_args(arguments)
    with initialize_config_dir(str(known.config_dir.resolve()), version_base=None):
        overrides = ["hydra.searchpath=[pkg://verl.trainer.config,pkg://rlvr.configs]", *known.overrides]
        config = compose(known.config_name, overrides)
        if problems := list(override_types.check(config, known.config_name, overrides)):
            raise ConfigCompositionException("; ".join(problems))
        return config


def inspect(config: DictConfig) -> Report:
    """All checks, the estimate and the plan."""
    report = Report(problems=list(numbers.check(config)))
    if report.problems:  # everything below calculates with them
        return report
    critic, reference = needs(config)
    report.problems += preflight.check(config, here=False)
    model = config.actor_rollout_ref.model.path
    fields, shape = None, None
    try:
        fields, source = shapes.find_config(model)
        report.notes.append(
            f"model {model}: config from {source}" if fields else f"model: {source}; it was left out of the checks"
        )
        shape = shapes.shape_of(fields) if fields else None
    except (OSError, ValueError) as error:
        report.notes.append(f"model {model}: {error}")
    report.problems += validate.check(config, fields, critic=critic, reference=reference)
    if not prompt_tokens.can_count(config):
        report.notes.append(f"prompts were not counted in tokens: the tokenizer of {model} is not on this machine")
    settings = memory_settings(config, shape, critic=critic, reference=reference) if shape else None
    if settings is not None:
        report.sections["Memory of one GPU, GiB (an estimate, not compared with a GPU run: docs/hardware.md)"] = (
            memory_lines(settings, config)
        )
    try:
        report.sections["Plan"] = plan_lines(config, settings)
    except (OSError, ValueError, ZeroDivisionError) as error:
        if not report.problems:  # a file that is missing has been named already
            report.problems.append(str(error))
    return report


def needs(config: DictConfig) -> tuple[bool, bool]:
    """Whether the run has a critic, and a reference model."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # verl warns of every method without a critic
        return need_critic(config), need_reference_policy(config)


def estimate(config: DictConfig) -> memory.Estimate | None:
    """The memory of one GPU; None where the model is not known or there is no GPU in the configuration."""
    try:
        fields, _ = shapes.find_config(config.actor_rollout_ref.model.path)
        shape = shapes.shape_of(fields) if fields else None
    except (OSError, ValueError):
        return None
    if shape is None or config.launch.gpu_memory_gib is None:
        return None
    critic, reference = needs(config)
    return memory.estimate(
        memory_settings(config, shape, critic=critic, reference=reference), config.launch.gpu_memory_gib * memory.GIB
    )


def memory_lines(settings: memory.Settings, config: DictConfig) -> list[str]:
    """A table of phases and parts, what the KV cache holds, and what helps where it does not fit."""
    size = config.launch.gpu_memory_gib
    if size is None:
        return ["no estimate: this machine has no GPU in its configuration (launch.gpu_memory_gib)"]
    gpu = size * memory.GIB
    found = memory.estimate(settings, gpu)
    lines = []
    for phase, parts in found.phases.items():
        details = " · ".join(
            f"{name} {value / memory.GIB:.1f}" for name, value in parts.items() if value >= 0.05 * memory.GIB
        )
        lines.append(f"{phase:<16}{found.peak(phase) / memory.GIB:6.1f}   {details}")
    lines.append(
        f"{'KV cache':<16}{'':6}   {found.kv_tokens} tokens = {found.sequences:.1f} sequences of full length at once"
    )
    lines.append(
        f"{'main memory':<16}{found.host / memory.GIB:6.1f}   for each GPU: what is offloaded, the reference model; "
        f"{found.loading / memory.GIB:.1f} while the models are read"
    )
    if found.fits:
        return [*lines, f"fits into {size} GiB; the highest peak is {found.worst}"]
    lines.append(f"does NOT fit into {size} GiB: {found.shortage / memory.GIB:.1f} GiB are missing. What helps most:")
    for override, after in advice.helps(settings, gpu):
        verdict = "then it fits" if after.fits else f"then {after.shortage / memory.GIB:.1f} GiB are missing"
        lines.append(f"  {override}   {verdict}")
    return lines


def plan_lines(config: DictConfig, settings: memory.Settings | None) -> list[str]:
    """The plan, from the rows of the data files.

    Raises:
        OSError, ValueError: if a file cannot be read, or the assumed accuracy is no probability.
    """
    rows = {key: data_files.rows(config, key) for key in data_files.KEYS}
    lines = plan_of(config, questions=rows["train_files"], validation_questions=rows["val_files"]).lines()
    if settings is not None:
        lines.append(
            f"disk           {checkpoint_bytes(config, settings) / 1e9:.0f} GB a checkpoint (trainer.max_actor_ckpt_to_keep)"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
