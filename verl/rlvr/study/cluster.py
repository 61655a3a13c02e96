"""A study as jobs of a cluster: the lines that submit them, to look at and to run.

    scripts/study SPEC --on slurm      # writes OUTPUT/submit.sh: a job for each run, each evaluated checkpoint, and the page
    scripts/study SPEC --on ray        # a job for each run, which trains and answers

Each job is ``scripts/study SPEC --job NAME``, which does what is missing of it and nothing else: submit the same file again after a
failure. The folder of the repository must be on storage that all nodes see. Deliberately left out: submitting by itself, and any
other scheduler; ``--job`` is all that one needs.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rlvr.study.runs import BASE, Asked, Planned
from rlvr.study.spec import Spec

TRAIN, ANSWER, PAGE = "train", "answer", "page"


def job_names(planned: Planned, asked: Asked) -> list[str]:
    """Every job, in an order in which each comes after what it needs."""
    names = [f"{BASE}:{ANSWER}:0"]
    for run in planned.runs:
        names += [f"{run.name}:{TRAIN}", *(f"{run.name}:{ANSWER}:{step}" for step in asked.steps)]
    return [*names, PAGE]


def slurm_lines(spec: Spec, planned: Planned, asked: Asked, command: Sequence[str], nodes: int) -> list[str]:
    """A shell script. Training goes through scripts/slurm.sbatch, which starts Ray on its nodes.

    Args:
        command: scripts/study with what every job is told.
        nodes: of a training run.
    """
    gpus = f"--gpus-per-node={spec.assumed.gpus // nodes} " if spec.assumed else ""
    one_node = f"--nodes=1 --gpus-per-node={spec.evaluation.num_gpus} " if spec.assumed else "--nodes=1 "
    lines = ["#!/usr/bin/env bash", f"# {spec.title}: submit from the repository's folder.", "set -euo pipefail"]

    def answers(name: str, step: int, after: str) -> None:
        job = shlex.join([*command, "--job", f"{name}:{ANSWER}:{step}"])
        lines.append(
            f'last+=("$(sbatch --parsable {after}--job-name={name}-{step} {one_node}--wrap={shlex.quote(job)})")'
        )

    lines.append("last=()")
    answers(BASE, 0, "")
    for run in planned.runs:
        job = shlex.join(["scripts/slurm.sbatch", *command, "--job", f"{run.name}:{TRAIN}"])
        lines.append(f"trained=$(sbatch --parsable --job-name={run.name} --nodes={nodes} {gpus}{job})")
        for step in asked.steps:
            answers(run.name, step, '--dependency=afterok:"$trained" ')
    after = '--dependency=afterany:"$(IFS=:; echo "${last[*]}")"'
    page = shlex.join([*command, "--job", PAGE])
    return [*lines, f"sbatch {after} --job-name=page --nodes=1 --wrap={shlex.quote(page)}"]


def ray_lines(spec: Spec, planned: Planned, command: Sequence[str], folder: Path) -> list[str]:
    """A shell script for Ray's job server at RAY_ADDRESS; a run's training and answers are one job, ``JOBS`` of them at a time."""
    job = f"cd {shlex.quote(str(folder))} && {shlex.join(command)} --job {{}}"
    names = [BASE, *(run.name for run in planned.runs)]
    return [
        "#!/usr/bin/env bash",
        f"# {spec.title}: RAY_ADDRESS=http://127.0.0.1:8265 JOBS=1 bash submit.sh; as many jobs at a time as there is room for.",
        "set -euo pipefail",
        f"xargs -P \"${{JOBS:-1}}\" -I{{}} ray job submit -- bash -c {shlex.quote(job)} <<'RUNS'",
        *names,
        "RUNS",
        shlex.join([*command, "--job", PAGE]),
    ]
