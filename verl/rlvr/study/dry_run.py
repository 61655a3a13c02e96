"""Everything about a study that can be checked before it: every run resolved, hours, disk, and the order of the jobs.

    scripts/study SPEC --dry-run      exit code 0, or 2 and one line for each thing that is wrong; starts nothing

Each run is composed by what its launcher hands to verl and inspected by :mod:`rlvr.launch.dry_run`; seeds differ in the seed
alone, so the first stands for them. Deliberately left out: the resolved configurations; ``DRY_RUN=1 bash LAUNCHER`` prints one.
"""

import logging
import os
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.data.questions import is_file_name
from rlvr.study import estimate
from rlvr.study.runs import Asked, Planned, Run, rate_text, too_few_questions
from rlvr.study.spec import Spec

GIGA = 1e9


@dataclass(frozen=True)
class Resolved:
    """One run as verl would get it."""

    problems: list[str]
    step: estimate.Step | None = None  # None: the model is not known here
    checkpoint_bytes: float = 0.0  # with what a resume needs


@dataclass
class Report:
    """What a dry run of a study found."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def inspect(spec: Spec, planned: Planned, tuning: Sequence[Run], asked: Asked) -> Report:
    """All runs, the estimate and the order."""
    report = Report()
    kinds = {kind_of(run): run for run in reversed([*planned.runs, *tuning])}
    logging.disable(logging.WARNING)  # verl and vLLM log to stdout while they are imported
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of engines that are not installed
            resolved = {kind: resolve(run) for kind, run in kinds.items()}
    finally:
        logging.disable(logging.NOTSET)
    report.problems = _problems({kinds[kind].name: one.problems for kind, one in resolved.items()})
    report.problems += [
        f"evaluation.datasets.{name}={path} does not exist: {'; '.join(spec.prepare) or 'make it'}"
        for name, path in asked.datasets.items()
        if is_file_name(path) and not os.path.isfile(path)
    ]
    report.problems += too_few_questions(spec, tuning=bool(tuning))
    report.lines.append(f"{spec.title}: {len(planned.runs)} runs of {len(kinds)} kinds, seed by seed")
    for arm, methods in planned.arms.items():
        rates = ", ".join(f"{method} {rate_text(runs[0].learning_rate)}" for method, runs in methods.items())
        report.lines.append(f"  arm {arm}: {spec.seeds} seed(s) of {rates}")
    if tuning:
        report.lines.append(
            f"  first, to choose learning rates: {len(tuning)} runs; until then the highest stand above"
        )
    report.lines += _on_cpu(spec, planned, tuning, asked) if spec.measured else _on_gpus(spec, planned, asked, resolved)
    report.lines += ["", "order:", *(f"  {line}" for line in order(planned, tuning, asked))]
    return report


def _problems(by_run: Mapping[str, Sequence[str]]) -> list[str]:
    """Each problem once, with the runs that have it."""
    runs: dict[str, list[str]] = {}
    for name, problems in by_run.items():
        for problem in problems:
            runs.setdefault(problem, []).append(name)
    return [
        f"{'every run' if len(names) == len(by_run) else ', '.join(names)}: {problem}"
        for problem, names in runs.items()
    ]


def kind_of(run: Run) -> tuple[str, ...]:
    """What a run is but for its seed and folder."""
    return (run.launcher, *(one for one in run.overrides if not one.startswith("seed=")))


def order(planned: Planned, tuning: Sequence[Run], asked: Asked) -> list[str]:
    lines = [f"{run.name}: {run.steps} steps, then the tuning questions" for run in tuning]
    steps = ", ".join(map(str, asked.steps))
    return [*lines, "base: answers", *(f"{run.name}: {run.steps} steps; answers of {steps}" for run in planned.runs)]


def resolve(run: Run) -> Resolved:
    """Compose and inspect one run."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from rlvr.launch import dry_run

    try:
        config = dry_run.compose(arguments_of(run))
        found = dry_run.inspect(config)
        return Resolved(found.problems, *_sizes(config))
    # Hydra's own errors name the key or the file; each is about this run.
    except (HydraException, OmegaConfBaseException) as error:
        return Resolved([" ".join(str(error).split())])
    except OSError as error:
        return Resolved([str(error)])


def arguments_of(run: Run) -> list[str]:
    """What the run's launcher hands to verl.

    Raises:
        OSError: if there is no such launcher, or it fails.
    """
    if not os.path.isfile(run.launcher):
        raise OSError(f"training.launcher: {run.launcher} does not exist")
    environment = os.environ | {"DRY_RUN": "arguments"}
    ended = subprocess.run(run.command(), env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise OSError(f"{run.launcher} failed with exit code {ended.returncode}: {' '.join(ended.stderr.split())}")
    return ended.stdout.splitlines()


def _sizes(config: Any) -> tuple[estimate.Step | None, float]:
    """What a step computes and what a checkpoint takes; (None, 0) where the model's shape is not known."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy

    from rlvr.launch import shapes
    from rlvr.launch.settings import checkpoint_bytes, memory_settings, plan_of

    try:
        fields, _ = shapes.find_config(config.actor_rollout_ref.model.path)
        shape = shapes.shape_of(fields) if fields else None
    except (OSError, ValueError):
        shape = None
    if shape is None:
        return None, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # verl warns of every method without a critic
        critic, reference = need_critic(config), need_reference_policy(config)
    drawn = plan_of(config, questions=0, validation_questions=0)
    step = estimate.Step(
        samples=drawn.samples,
        kept=drawn.kept,
        updates=drawn.optimizer_steps,
        parameters=shape.parameters,
        critic_parameters=shape.value_parameters if critic else 0.0,
        reference=reference,
    )
    settings = memory_settings(config, shape, critic=critic, reference=reference)
    return step, float(checkpoint_bytes(config, settings))


def _on_cpu(spec: Spec, planned: Planned, tuning: Sequence[Run], asked: Asked) -> list[str]:
    """Minutes, from the measured times."""
    measured = spec.measured
    assert measured is not None
    questions = asked.questions or 0
    run = estimate.training_on_cpu(measured, spec.training.steps).seconds
    answers = estimate.evaluation_on_cpu(measured, len(asked.steps), questions, asked.samples).seconds
    base = estimate.evaluation_on_cpu(measured, 1, questions, asked.samples).seconds
    new = [one for one in planned.runs if one.folder not in {other.folder for other in tuning}]
    seconds = [("training", len(new) * run), ("answers", base + len(planned.runs) * answers)]
    if tuning and spec.tuning:
        each = run + estimate.evaluation_on_cpu(measured, 1, spec.tuning.questions, spec.tuning.samples).seconds
        seconds.insert(0, ("choosing learning rates", len(tuning) * each))
    total = sum(value for _, value in seconds) / measured.jobs / 60
    parts = ", ".join(f"{name} {value / measured.jobs / 60:.0f}" for name, value in seconds)
    megabytes = (len(planned.runs) + len(tuning)) * len(spec.training.checkpoints) * measured.checkpoint_mb
    return [
        "",
        f"time: about {total:.0f} minutes with {measured.jobs} runs at a time ({parts}), without what is there already",
        f"how: a run takes {measured.train_start_s:g} s and {measured.step_s:g} s a step, its answers "
        f"{measured.evaluation_start_s:g} s and 1 s for each {measured.answers_per_s:g} (measured: in the specification)",
        f"disk: {megabytes / 1000:.1f} GB of checkpoints, and the answers",
    ]


def _on_gpus(spec: Spec, planned: Planned, asked: Asked, resolved: dict[tuple[str, ...], Resolved]) -> list[str]:
    """GPU hours, from the assumptions."""
    assumed = spec.assumed
    assert assumed is not None
    lines = ["", f"{'run':<40}{'train, GPU h':>14}{'answers, GPU h':>16}{'disk at its end, GB':>21}{'most, GB':>10}"]
    training = answering = kept = 0.0
    most = [0.0]
    parameters = 0.0
    for run in planned.runs:
        one = resolved[kind_of(run)]
        if one.step is None:
            lines.append(f"{run.name:<40}  the model's shape is not known on this machine: no estimate")
            continue
        parameters = one.step.parameters
        train = estimate.training_on_gpus(assumed, one.step, run.steps).gpu_hours
        answers = len(asked.steps) * estimate.evaluation_on_gpus(assumed, parameters, asked.samples).gpu_hours
        exported = 4 * parameters  # the Hugging Face folder holds float32
        samples = len(asked.steps) * estimate.answers_bytes(assumed, asked.samples)
        at_its_end = one.checkpoint_bytes + (len(run.checkpoints) - 1) * exported + samples
        most.append(len(run.checkpoints) * one.checkpoint_bytes + samples)
        lines.append(f"{run.name:<40}{train:>14.1f}{answers:>16.1f}{at_its_end / GIGA:>21.0f}{most[-1] / GIGA:>10.0f}")
        training, answering, kept = training + train, answering + answers, kept + at_its_end
    answering += estimate.evaluation_on_gpus(assumed, parameters, asked.samples).gpu_hours
    return [
        *lines,
        f"in all, with the base's answers: {training + answering:.0f} GPU hours ({training:.0f} training, "
        f"{answering:.0f} answers), {kept / GIGA:.0f} GB at the end; a run takes up to {max(most) / GIGA:.0f} GB while it trains",
        f"how: operations over {assumed.gpus} GPUs of {assumed.peak_tflops:g} TFLOP/s, of which training uses "
        f"{assumed.training_utilisation:.0%} and generation {assumed.generation_utilisation:.0%}, {assumed.answer_tokens:g} tokens "
        "an answer: assumed (in the specification) and not measured; rlvr/study/estimate.py says what is left out",
    ]
