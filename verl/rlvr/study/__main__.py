"""``scripts/study``: run a study, or say what it would do.

    scripts/study SPEC [--arms A,B] [--methods M,N] [--seeds N] [--steps N] [--questions N] [--samples N] [--output DIR]
                       [--jobs N] [--quick] [--dry-run | --tune | --report | --on slurm|ray [--nodes N] | --job NAME] [key=value …]

Trains what is not trained, draws the answers that are not there, and writes OUTPUT/report/results.md. It may be killed and
started anew at any moment; a run that was made with other settings is refused. Where an arm's learning rates are to be chosen and
have not been, that is done first (``--tune`` does nothing else). ``key=value`` goes to every training run, last. What a
specification holds: rlvr/study/spec.py; examples: studies/.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from passk.storage import write_atomically
from rlvr import machine
from rlvr.outputs import check_folder
from rlvr.records import DataError
from rlvr.study import cluster, commands, dry_run, local, results, sizes, tuning
from rlvr.study.commands import RunFailed, check, progress_bar
from rlvr.study.load import load
from rlvr.study.runs import (
    BASE,
    Asked,
    Planned,
    Run,
    asked_of,
    check_settings,
    plan,
    provenance,
    too_few_questions,
    tuning_of,
)
from rlvr.study.spec import Spec, SpecError

EXIT_CODE = 2
console = Console()


@dataclass(frozen=True)
class Command:
    """What the command line asks for."""

    spec: Spec
    arms: list[str]
    chosen_file: Path
    overrides: list[str]
    jobs: int
    quick: bool

    def planned(self) -> Planned:
        return plan(self.spec, self.arms, tuning.read_chosen(self.chosen_file), self.overrides)

    def candidates(self) -> list[tuning.Candidate]:
        return tuning.candidates(self.spec, self.arms, tuning.read_chosen(self.chosen_file), self.overrides)


def main() -> int:
    """The exit code."""
    arguments = _parse()
    commands.stop_on_sigterm()
    try:
        command = _command(arguments)
        if arguments.dry_run:
            return _dry_run(command)
        if arguments.on:
            _submit(command, arguments.on, arguments.nodes)
        elif arguments.job:
            _job(command, arguments.job)
        elif arguments.report:
            _report(command)
        else:
            _run(command, only_tune=arguments.tune)
    except SpecError as error:
        print(error, file=sys.stderr)
        return EXIT_CODE
    except (RunFailed, DataError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped: the same command goes on where it was", file=sys.stderr)
        return commands.exit_code_of_interrupt()
    return 0


def _command(arguments: argparse.Namespace) -> Command:
    """
    Raises:
        SpecError: for a specification that is wrong, or a name that it has not.
        DataError: if the folder of the runs cannot be written to.
    """
    found = load(arguments.spec)
    if arguments.quick:
        found = sizes.quick(found)
    found = sizes.resized(found, arguments.steps, arguments.questions, arguments.samples, arguments.seeds)
    if arguments.output:
        found = sizes.elsewhere(found, arguments.output)
    check_folder(Path(found.output))
    default = found.default_arms or list(found.arms)
    arms = arguments.arms.split(",") if arguments.arms else default[:1] if arguments.methods else default
    unknown = [name for name in arms if name not in found.arms]
    if unknown:
        raise SpecError(f"--arms: {', '.join(unknown)} is no arm: choose among {', '.join(found.arms)}")
    if arguments.methods:
        from rlvr.methods import METHODS  # torch takes seconds to import

        found = sizes.with_methods(found, arguments.methods.split(","), METHODS, arms)
    if found.device == "cpu":
        os.environ["VERL_PLATFORM"] = "cpu"  # what the launchers of such a machine export
    chosen = arguments.spec.with_suffix(".learning_rates.json")
    return Command(found, arms, chosen, arguments.overrides, arguments.jobs or _jobs(found), arguments.quick)


def _jobs(found: Spec) -> int:
    return min(machine.cores(), found.measured.jobs) if found.measured else 1


def _run(command: Command, only_tune: bool) -> None:
    """Everything that is missing, and the page."""
    begun = time.monotonic()
    found = command.spec
    _prepare(found)
    tried = command.candidates()
    problems = list(too_few_questions(found, tuning=bool(tried)))
    if problems:
        raise SpecError("\n".join(problems))
    if tried:
        _tune(command, tried)
    elif only_tune:
        print(f"every learning rate has been chosen: {command.chosen_file}")
    if only_tune:
        return
    planned, asked = command.planned(), asked_of(found)
    check_settings(planned.runs, found.base_model)
    console.rule(f"{len(planned.runs)} runs of {found.training.steps} steps, {command.jobs} at a time", align="left")
    print(
        f"after steps {', '.join(map(str, asked.steps))}: {asked.questions or 'all'} questions × {asked.samples} answers"
    )
    jobs = local.jobs_of(planned.runs, found.base_model, asked, found.sampling(), found.evaluation.num_gpus)
    local.run_all(jobs, command.jobs)
    _report(command)
    print(f"total {time.monotonic() - begun:.0f} s")


def _prepare(found: Spec) -> None:
    console.rule("the base model and its data", align="left")
    for one in found.prepare:
        check(subprocess.run(["bash", "-c", one]).returncode, None, one)


def _tune(command: Command, tried: Sequence[tuning.Candidate]) -> None:
    """Train and ask every rate, choose, and write what was chosen."""
    found = command.spec
    assert found.tuning is not None  # else there would be nothing to try
    asked = tuning_of(found)
    runs = list({one.run.folder: one.run for one in tried}.values())
    check_settings(runs, found.base_model)
    console.rule(
        f"choosing learning rates: {len(runs)} runs on the tuning questions, {command.jobs} at a time", align="left"
    )
    sampling = replace(found.sampling(), num_generation=found.tuning.samples)
    _, *jobs = local.jobs_of(runs, found.base_model, asked, sampling, found.evaluation.num_gpus)  # not the base
    local.run_all(jobs, command.jobs)
    print("\n".join(tuning.write_chosen(command.chosen_file, found, tried, asked)))
    print(f"chosen: {command.chosen_file}, to be committed before the runs of the other seeds")


def _report(command: Command) -> None:
    made = provenance() | {"command": shlex.join(["scripts/study", *sys.argv[1:]])}
    folder = Path(command.spec.output) / ("report-quick" if command.quick else "report")
    lines = results.write(command.spec, command.planned(), asked_of(command.spec), folder, made)
    print("\n".join(["", *lines, "", f"report: {folder / 'results.md'}"]))


def _dry_run(command: Command) -> int:
    found = command.spec
    tried = list({one.run.folder: one.run for one in command.candidates()}.values())
    highest: dict[str, dict[str, float]] = {
        rates: dict(rows) for rates, rows in tuning.read_chosen(command.chosen_file).items()
    }
    for one in command.candidates():
        rates = highest.setdefault(one.rates, {})
        rates[one.method] = max(one.rate, rates.get(one.method, 0.0))
    planned = plan(found, command.arms, highest, command.overrides)
    report = dry_run.inspect(found, planned, tried, asked_of(found))
    print("\n".join(report.lines))
    for problem in report.problems:
        print(f"config error: {problem}", file=sys.stderr)
    print(f"\ndry run: {'nothing is wrong' if not report.problems else f'{len(report.problems)} problem(s)'}")
    return EXIT_CODE if report.problems else 0


def _submit(command: Command, scheduler: str, nodes: int) -> None:
    """Write the lines that submit the study."""
    planned, found = command.planned(), command.spec
    words = ["scripts/study", *_without(sys.argv[1:], {"--on", "--nodes"})]
    if scheduler == "slurm":
        lines = cluster.slurm_lines(found, planned, asked_of(found), words, nodes)
    else:
        lines = cluster.ray_lines(found, planned, words, Path.cwd())
    file = Path(found.output) / "submit.sh"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, ["\n".join([*lines, ""]).encode()])
    print("\n".join(lines))
    print(f"\nwritten: bash {file} submits this; prepare the data first: {'; '.join(found.prepare) or 'nothing to do'}")


def _without(words: Sequence[str], flags: set[str]) -> list[str]:
    """A command line without these flags and their values."""
    kept, skip = [], False
    for word in words:
        if skip or word in flags:
            skip = not skip
        elif word.split("=")[0] not in flags:
            kept.append(word)
    return kept


def _job(command: Command, name: str) -> None:
    """One job of a cluster: NAME, NAME:train, NAME:answer:STEP, or page.

    Raises:
        RunFailed: if there is no such job, or it fails.
    """
    found, planned, asked = command.spec, command.planned(), asked_of(command.spec)
    if name == cluster.PAGE:
        return _report(command)
    of, _, what = name.partition(":")
    runs = {run.name: run for run in planned.runs}
    if of != BASE and of not in runs:
        raise RunFailed(f"--job {name}: no run of this name; there are {', '.join([BASE, *runs])}")
    step = what.removeprefix(f"{cluster.ANSWER}:")
    if what and what != cluster.TRAIN and step not in [str(one) for one in (0, *asked.steps)]:
        raise RunFailed(f"--job {name}: give NAME, NAME:train or NAME:answer:STEP with a step of {asked.steps}")
    if what.startswith(cluster.ANSWER):
        asked = replace(asked, steps=(int(step),))
    with progress_bar() as progress:
        if of == BASE:
            local.answer_base(found.base_model, asked, found.sampling(), found.evaluation.num_gpus, progress)
        else:
            _one_run(found, runs[of], asked, what, progress)
    return None


def _one_run(found: Spec, run: Run, asked: Asked, what: str, progress: local.Progress) -> None:
    check_settings([run], found.base_model)
    if not what.startswith(cluster.ANSWER):
        local.train(run, progress)
    if what != cluster.TRAIN:
        local.answer_run(run, asked, found.sampling(), found.evaluation.num_gpus, progress)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", type=Path, help="like studies/tiny.yaml")
    parser.add_argument("--arms", metavar="A,B", help="of the specification (default: its default_arms, or all)")
    parser.add_argument(
        "--methods", metavar="M,N", help="instead of the arms' methods: of the specification, or of docs/methods.md"
    )
    parser.add_argument("--seeds", type=int, help="seeds 1 to so many")
    parser.add_argument("--steps", type=int, help="of training")
    parser.add_argument("--questions", type=int, help="asked of each model")
    parser.add_argument("--samples", type=int, help="answers to each question")
    parser.add_argument("--output", type=Path, help="folder of the runs")
    parser.add_argument(
        "--jobs", type=int, help="runs at a time (default: what the specification says, of a CPU; else 1)"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, one learning rate, smaller; answers no claim")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--dry-run", action="store_true", help="check everything and say what it will take; starts nothing"
    )
    what.add_argument("--tune", action="store_true", help="only choose the learning rates")
    what.add_argument("--report", action="store_true", help="only write the page, of what is there")
    what.add_argument("--on", choices=("slurm", "ray"), help="write the lines that submit the jobs to a cluster")
    what.add_argument("--job", metavar="NAME", help="do one job of a cluster")
    parser.add_argument("--nodes", type=int, default=1, help="of a training run, with --on slurm")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for every training run")
    arguments = parser.parse_intermixed_args()
    for name in ("seeds", "steps", "questions", "samples", "jobs", "nodes"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} {value}: give 1 or more")
    wrong = [one for one in arguments.overrides if "=" not in one]
    if wrong:
        parser.error(f"{wrong[0]} is no key=value")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
