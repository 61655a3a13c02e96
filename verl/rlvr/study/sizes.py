"""A specification as the flags of the command change it: ``--quick``, other sizes, other methods.

Deliberately left out: writing it back; the file is what a study is, and flags are for looks and tests.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from rlvr.study.spec import Method, Spec, SpecError


def quick(spec: Spec) -> Spec:
    """The specification as ``--quick`` runs it.

    Raises:
        SpecError: if the file has no such part.
    """
    if spec.quick is None:
        raise SpecError("--quick: the specification has no part quick")
    fast = spec.quick
    arms = {name: replace(arm, tuned=None, learning_rate=fast.learning_rate) for name, arm in spec.arms.items()}
    methods = {name: replace(one, learning_rate=None, learning_rate_of=None) for name, one in spec.methods.items()}
    smaller = resized(spec, questions=fast.questions, samples=fast.samples, seeds=1)
    evaluation = replace(smaller.evaluation, checkpoints=fast.checkpoints)
    return replace(smaller, arms=arms, methods=methods, evaluation=evaluation, claims=[])


def resized(
    spec: Spec,
    steps: int | None = None,
    questions: int | None = None,
    samples: int | None = None,
    seeds: int | None = None,
) -> Spec:
    """Other sizes than the file's; checkpoints after the last step go, and so do k above the samples.

    Raises:
        SpecError: if no k is left.
    """
    training, evaluation = spec.training, spec.evaluation
    if steps is not None:
        checkpoints = [step for step in training.checkpoints if step < steps] + [steps]
        training = replace(training, steps=steps, checkpoints=checkpoints)
        evaluation = replace(
            evaluation, checkpoints=[step for step in evaluation.checkpoints or [] if step < steps] or None
        )
    if questions is not None:
        evaluation = replace(evaluation, questions=questions)
    if samples is not None:
        ks = sorted({min(k, samples) for k in evaluation.ks})
        if ks[0] < 2:
            raise SpecError(f"--samples {samples}: pass@k for a k of 2 or more needs as many samples")
        evaluation = replace(evaluation, samples=samples, ks=ks)
    return replace(spec, training=training, evaluation=evaluation, seeds=spec.seeds if seeds is None else seeds)


def with_methods(spec: Spec, names: list[str], registered: Mapping[str, Any], arms: list[str]) -> Spec:
    """The selected arms with these methods instead: of the file, or any value of ``algorithm.advantage``.

    Raises:
        SpecError: names those that are neither.
    """
    unknown = [name for name in names if name not in spec.methods and name not in registered]
    if unknown:
        choices = ", ".join(dict.fromkeys([*spec.methods, *registered]))
        raise SpecError(f"--methods: {', '.join(unknown)} is no method: choose among {choices}")
    methods = dict(spec.methods)
    for name in names:
        methods.setdefault(name, Method(settings={"algorithm.advantage": name}))
    changed = {
        name: replace(arm, methods=names, reference=arm.reference if arm.reference in names else names[0])
        for name, arm in spec.arms.items()
        if name in arms
    }
    return replace(spec, methods=methods, arms=changed, claims=[])


def elsewhere(spec: Spec, folder: Path) -> Spec:
    """The study with its runs in another folder."""
    return replace(spec, output=str(folder))
