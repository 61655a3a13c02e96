"""Measured against estimated memory: the highest use of a GPU in each phase of a run, divided by what DRY_RUN=1 says."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rlvr.launch import dry_run
from rlvr.launch.memory import GIB, Estimate
from rlvr.operate.gpu_check import Check, below, figure

# What the trainer publishes -> the phase of the estimate.
PHASES = {
    "rollout and reward": "rollout",
    "weight sync": "weights to vLLM",
    "old log-prob": "log-probs",
    "actor update": "actor update",
    "critic update": "critic update",
}


def peaks(file: Path) -> tuple[dict[str, float], float]:
    """GiB on the fullest GPU in each phase of the estimate, above what was in use before; and GiB of main memory."""
    highest, main, before = dict[str, int](), 0, None
    for line in file.read_text().splitlines():
        sample = json.loads(line)
        if not sample["gpu"]:
            main = max(main, sample["main"])
            continue
        before = sample["gpu"] if before is None else before
        used = max(now - then for now, then in zip(sample["gpu"], before, strict=True))
        phase = PHASES.get(sample["phase"].rpartition(" > ")[2])
        if phase is not None:
            highest[phase] = max(highest.get(phase, 0), used)
        main = max(main, sample["main"])
    return {phase: value / GIB for phase, value in highest.items()}, main / GIB


def compare(words: Sequence[str], file: Path) -> Iterator[Check]:
    """A check for each phase: measured ÷ estimated must not be above 1."""
    found = estimate(words)
    measured, main = peaks(file)
    yield figure("main memory, GiB", round(main, 2))
    if found is None:
        return
    yield figure("main memory estimated, GiB", round(found.host / GIB, 2))
    for phase, value in measured.items():
        if phase in found.phases:
            share = value / (found.peak(phase) / GIB)
            yield figure(f"{phase}, GiB", round(value, 2))
            yield figure(f"{phase} estimated, GiB", round(found.peak(phase) / GIB, 2))
            yield below(f"{phase}, measured ÷ estimated", round(share, 3), 1.001)


def estimate(words: Sequence[str]) -> Estimate | None:
    """Of the configuration that the run composed from the same words."""
    config = dry_run.compose(["--config-dir=configs", *(word for word in words if "hydra.callbacks" not in word)])
    return dry_run.estimate(config)
