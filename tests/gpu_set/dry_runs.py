"""The dry runs of all launchers that train on GPUs, on all machines: a line for each, ``FOUND[run, exit code, problems]``.

    .venv-gpu/bin/python -m tests.gpu_set.dry_runs FOLDER       # FOLDER has train.parquet and test.parquet

Without the stand-in of tests/nvml.py: as on the login node of a cluster.
"""

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from rlvr.launch import dry_run

ROOT = Path(__file__).resolve().parents[2]
LAUNCHERS = [
    f"run_{model}_{method}.sh"
    for model, method in itertools.product(("qwen2.5-math-7b", "qwen3-4b", "llama3.1-8b"), ("psr_nsr", "grpo", "ppo"))
]
MACHINES = ("gpu24", "gpu48", "gpu80", "gpu141", "node8", "nodes")
STUB = 'python3() { if [ "$2" = rlvr.cluster.cpus ]; then echo 16; else printf "%s\\n" "$@"; fi; }; export -f python3; bash "$@"'


def arguments_of(launcher: str, machine: str, folder: str) -> list[str]:
    """What a launcher hands to the dry run."""
    data = [f"data.train_files={folder}/train.parquet", f"data.val_files={folder}/test.parquet"]
    environment = os.environ | {"DRY_RUN": "1", "MACHINE": machine}
    environment.pop("VERL_PLATFORM", None)
    command = ["bash", "-c", STUB, "bash", launcher, *data]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[2:]


def main(folder: str) -> None:
    for launcher, machine in itertools.product(LAUNCHERS, MACHINES):
        arguments = arguments_of(launcher, machine, folder)
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = dry_run.main(arguments)
        print("FOUND" + json.dumps([f"{launcher} {machine}", code, said.getvalue()]), flush=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    main(sys.argv[1])
