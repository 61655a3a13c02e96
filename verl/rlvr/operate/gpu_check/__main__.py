"""Everything about this project that only a GPU can answer, in 25 minutes: a table, a JSON file, exit code 0 or 1.

    scripts/gpu_check [--gpus N] [--json FILE] [--steps kernels,train] [--output DIR]
    scripts/gpu_check --device cpu                     # the same with tiny sizes, on this machine's CPU

Offline, on random models. A step has its own time limit; later ones run after one has failed. ``--json`` writes what
``scripts/hardware_table.py`` reads into docs/hardware.md: put it into docs/results/gpu/ and send it. Deliberately left out: GPUs
of several machines (docs/clusters.md).
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from rlvr.cluster import nvidia_smi
from rlvr.operate.gpu_check import Check, Context
from rlvr.operate.gpu_check.steps import MARK, STEPS, Step
from rlvr.outputs import check_file, check_folder
from rlvr.records import DataError

PACKAGES = ("torch", "vllm", "verl", "transformers", "rlvr-decomposed")
SLACK_S = 5.0  # after SIGTERM
MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: (" ", "default")}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if a check did not pass or a step did not end."""
    args = parse(arguments)
    chosen = args.steps.split(",") if args.steps else [step.name for step in STEPS]
    unknown = sorted(set(chosen) - {step.name for step in STEPS})
    if unknown:
        print(f"--steps {','.join(unknown)}: choose from {','.join(step.name for step in STEPS)}", file=sys.stderr)
        return 2
    machine, count = describe(args.device), args.gpus or (len(listed()) if args.device == "cuda" else 1)
    if args.device == "cuda" and not 1 <= count <= len(listed()):
        wanted = f"--gpus {count}, but " if args.gpus else ""
        print(f"{wanted}nvidia-smi lists {len(listed())} GPUs here: --device cpu does without one", file=sys.stderr)
        return 2
    possible = [step for step in STEPS if step.name in chosen and (count >= step.gpus or args.device == "cpu")]
    if not possible:
        print(f"--steps {args.steps}: needs more GPUs than {count}", file=sys.stderr)
        return 2
    folder = args.output or Path(tempfile.mkdtemp(prefix="gpu_check-"))
    try:
        check_folder(folder)
        if args.json:
            check_file(args.json)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # a step does not outlive this command
    console = Console(soft_wrap=True, highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(args.device, count, folder.resolve())
    console.print(f"{machine['gpu'] or 'CPU'}, {count} of them; records in {folder}")
    results = []
    for step in possible:
        results.append(result := run_step(step, context, args.limit))
        show(console, result)
        if args.json:  # after every step: what is known stays, whatever comes
            write(args.json, {"machine": machine, "gpus": count, "device": args.device, "steps": results})
    for step in STEPS:
        if step.name in chosen and step not in possible:
            console.print(f"{step.name} was left out: it needs {step.gpus} GPUs")
    failed = [one["name"] for one in results if not one["passed"]]
    console.print(f"{len(results) - len(failed)} steps passed" + (f", not {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/gpu_check", description=str(__doc__).splitlines()[0])
    parser.add_argument("--gpus", type=int, default=None, help="how many to use; all that are listed")
    parser.add_argument("--json", type=Path, default=None, help="where to write the results")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--steps", default=None, help="some of them, with commas")
    parser.add_argument("--output", type=Path, default=None, help="folder for models, runs and logs (35 GB on a GPU)")
    parser.add_argument("--limit", type=float, default=1.0, help="× every step's time limit, for a slow machine")
    args = parser.parse_args(arguments)
    if args.gpus is not None and args.gpus < 1:
        parser.error(f"--gpus {args.gpus}: give 1 or more")
    if not args.limit > 0:
        parser.error(f"--limit {args.limit}: give more than 0")
    return args


def run_step(step: Step, context: Context, factor: float) -> dict[str, Any]:
    """The step's checks; what it started is killed when its time is up."""
    words = [step.name, context.device, str(context.gpus), str(context.folder)]
    limit, started = step.minutes * 60 * factor, time.monotonic()
    log, output = context.folder / f"{step.name}.log", context.folder / f"{step.name}.checks"
    with log.open("w") as errors, output.open("w") as checks_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "rlvr.operate.gpu_check.steps", *words],
            stdout=checks_file,
            stderr=errors,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end(process)
    lines = [line for line in output.read_text().splitlines() if line.startswith(MARK)]
    checks = [json.loads(line.removeprefix(MARK)) for line in lines]
    if code is None:
        checks.append(Check(f"{step.name} in time", False, f"not within {limit:.0f} s", f"{limit:.0f} s").record())
    elif code or not checks:
        checks.append(Check(f"{step.name} ends", False, f"exit code {code}; {log}", "exit code 0").record())
    passed = all(check["passed"] is not False for check in checks)
    return {"name": step.name, "passed": passed, "seconds": round(time.monotonic() - started, 1), "checks": checks}


def end(process: subprocess.Popen) -> None:
    """End a step and all that it started: Ray's processes leave its group, so they are found first."""
    import psutil

    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for number, wait in ((signal.SIGTERM, SLACK_S), (signal.SIGKILL, SLACK_S)):
        for one in family:
            try:
                one.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        if process.poll() is None:
            process.send_signal(number)
        psutil.wait_procs(family, wait)
    process.wait()


def listed() -> tuple[nvidia_smi.Gpu, ...]:
    driver = nvidia_smi.ask()
    return driver.gpus if driver else ()


def describe(device: str) -> dict[str, Any]:
    """What the results are of; nothing that names a person or a machine."""
    found = listed() if device == "cuda" else ()
    return {
        "gpu": found[0].name if found else None,
        "gpu_memory_mib": found[0].memory_total if found else None,
        "driver": found[0].driver if found else None,
        "python": platform.python_version(),
        "at": time.strftime("%Y-%m-%d"),
        **{name: metadata.version(name) for name in PACKAGES},
    }


def show(console: Console, result: dict[str, Any]) -> None:
    mark, style = MARKS[result["passed"]]
    console.print(Text(f"{mark} {result['name']:<14}{result['seconds']:.0f} s", style=f"bold {style}"))
    for check in result["checks"]:
        mark, style = MARKS[check["passed"]]
        value = f"{check['value']:.4g}" if isinstance(check["value"], float) else str(check["value"] or "")
        bound = f"   ({check['bound']})" if check["bound"] else ""
        console.print(Text(f"  {mark} {check['what']:<72}{value}{bound}", style=style))


def write(file: Path, found: dict[str, Any]) -> None:
    new = file.with_name(file.name + ".new")
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(json.dumps(found, indent=1) + "\n")
    new.replace(file)


if __name__ == "__main__":
    sys.exit(main())
