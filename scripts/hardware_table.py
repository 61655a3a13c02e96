"""The tables of docs/hardware.md: the memory estimate of every machine and model, and what ``scripts/gpu_check`` measured.

    python scripts/hardware_table.py            # print them
    python scripts/hardware_table.py --write    # put them into docs/hardware.md

Measured: every JSON file in docs/results/gpu/ (``scripts/gpu_check --json docs/results/gpu/NAME.json``). Deliberately left out:
machines of several nodes, whose parts are those of one node or less.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr.launch import dry_run, memory
from rlvr.launch.memory import GIB, Estimate
from rlvr.launch.settings import memory_settings
from rlvr.launch.shapes import find_config, shape_of

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs/hardware.md", ROOT / "docs/results/gpu"
MACHINES = ("gpu24", "gpu48", "gpu80", "gpu141", "node8")
MODELS = ("qwen2.5-math-7b", "qwen3-4b", "llama3.1-8b")
METHODS = ((False, False), (False, True), (True, True))  # NSR, GRPO, PPO: a critic, a reference model
ESTIMATED = (
    "machine",
    "model",
    "while vLLM generates",
    "highest of log-probs and updates",
    "whole sequences in the KV cache",
)
HEADS = {
    "estimates": (*ESTIMATED, "samples at once", "main memory"),
    "measured": ("GPU", "step", "phase", "estimated, GiB", "measured, GiB", "measured ÷ estimated"),
    "speed": ("GPU", "step", "what", "measured"),
}
NONE_YET = "Nobody has sent a measurement yet."
RATIO = ", measured ÷ estimated"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/hardware.md")
    write = parser.parse_args().write
    try:
        found = {"estimates": table("estimates", estimates())} | measured_tables(RESULTS)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    if write:
        PAGE.write_text(filled(PAGE.read_text(), found))
    else:
        print("\n\n".join(found.values()))


def measured_tables(folder: Path) -> dict[str, str]:
    """The tables that are filled from JSON files; a line where there are none.

    Raises:
        ValueError: for a file that ``gpu_check`` did not write; names it.
    """
    records = [record(file) for file in sorted(folder.glob("*.json"))]
    rows = {"measured": [row for one in records for row in memory_rows(one)]}
    rows["speed"] = [row for one in records for row in speed_rows(one)]
    return {name: table(name, some) if some else NONE_YET for name, some in rows.items()}


def record(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text())
        found["machine"]["gpu"], [step["checks"] for step in found["steps"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not written by scripts/gpu_check --json ({type(error).__name__}: {error})") from None
    return found


def memory_rows(found: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """A row for each phase whose memory was measured."""
    for step in found["steps"]:
        figures = {check["what"]: check["value"] for check in step["checks"]}
        for what, share in figures.items():
            if not what.endswith(RATIO):
                continue
            phase = what.removesuffix(RATIO)
            both = (figures[f"{phase} estimated, GiB"], figures[f"{phase}, GiB"])
            yield name_of(found), step["name"], phase, *(f"{one:.1f}" for one in both), f"{share:.2f}"


def speed_rows(found: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """A row for each figure that is no criterion and no memory."""
    for step in found["steps"]:
        for check in step["checks"]:
            if check["passed"] is None and not check["what"].endswith("GiB"):
                yield name_of(found), step["name"], check["what"], f"{check['value']:,}"


def name_of(found: Mapping[str, Any]) -> str:
    return f"{found['gpus']} × {found['machine']['gpu'] or 'CPU'}"


def estimates() -> Iterator[Sequence[str]]:
    """A row for each machine and model: NSR / PPO on the GPU, NSR / GRPO / PPO in main memory."""
    for machine in MACHINES:
        for model in MODELS:
            config = compose(machine, model)
            nsr, grpo, ppo = (estimate(config, critic=critic, reference=reference) for critic, reference in METHODS)
            yield (
                f"`{machine}`",
                model,
                " / ".join(f"{one.peak('rollout') / GIB:.0f}" for one in (nsr, ppo)),
                " / ".join(f"{updates(one) / GIB:.0f}" for one in (nsr, ppo)),
                f"{nsr.sequences:.0f}",
                str(config.actor_rollout_ref.rollout.max_num_seqs),
                " / ".join(f"{config.trainer.n_gpus_per_node * one.host / 1e9:.0f}" for one in (nsr, grpo, ppo)),
            )


def updates(found: Estimate) -> float:
    return max(found.peak(phase) for phase in found.phases if phase not in ("rollout", "weights to vLLM"))


def compose(machine: str, model: str) -> Any:
    """The configuration of PPO, which has all models."""
    words = ["--config-name=ppo", f"base_model={model}", f"machine={machine}", "trainer.experiment_name=table"]
    return dry_run.compose([f"--config-dir={ROOT / 'configs'}", *words])


def estimate(config: Any, *, critic: bool, reference: bool) -> Estimate:
    fields, _ = find_config(config.actor_rollout_ref.model.path)
    if fields is None or config.launch.gpu_memory_gib is None:
        raise ValueError(
            f"{config.actor_rollout_ref.model.path}: no estimate without its config.json and launch.gpu_memory_gib"
        )
    settings = memory_settings(config, shape_of(fields), critic=critic, reference=reference)
    return memory.estimate(settings, config.launch.gpu_memory_gib * GIB)


def table(name: str, rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    lines = [HEADS[name], ["---"] * len(HEADS[name]), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(text: str, tables: Mapping[str, str]) -> str:
    """``text`` with each table between its markers, ``<!-- NAME -->`` and ``<!-- end of NAME -->``.

    Raises:
        ValueError: if a table has no place.
    """
    for name, lines in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"docs/hardware.md has no place for the table {name}: <!-- {name} -->")
        text = pattern.sub(lambda match, lines=lines: match[1] + lines + match[2], text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    main()
