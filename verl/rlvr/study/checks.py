"""What the types of a specification do not say: names that must be defined elsewhere in it, numbers in range.

    list(check(spec))      # one line for each thing that is wrong; rlvr.study.load raises them

Deliberately left out: what only the launchers know, such as a setting that verl has not; the dry run asks them.
"""

from collections.abc import Iterator

from passk.presets import PRESETS
from rlvr.prompts import TEMPLATES
from rlvr.study.spec import Arm, Claim, Spec, Training


def check(spec: Spec) -> Iterator[str]:
    """Everything that the types do not say; names the key."""
    yield from _check_training(spec.training)
    yield from _check_evaluation(spec)
    for name, method in spec.methods.items():
        if method.learning_rate_of is not None and method.learning_rate_of not in spec.methods:
            yield f"methods.{name}.learning_rate_of={method.learning_rate_of} is no method"
    for name, arm in spec.arms.items():
        yield from _check_arm(spec, name, arm)
    for number, claim in enumerate(spec.claims):
        yield from (f"claims[{number}]: {problem}" for problem in _check_claim(spec, claim))
    for name in spec.default_arms:
        if name not in spec.arms:
            yield f"default_arms: {name} is no arm: {', '.join(spec.arms)}"
    if spec.seeds < 1:
        yield f"seeds={spec.seeds}: give 1 or more"
    if (spec.measured is None) == (spec.assumed is None):
        yield "give measured (times on a CPU) or assumed (of a GPU), one of them: the dry run estimates from it"
    if spec.quick is not None and set(spec.quick.checkpoints) - {*spec.training.checkpoints, spec.training.steps}:
        yield f"quick.checkpoints={spec.quick.checkpoints}: some are none of training.checkpoints={spec.training.checkpoints}"
    yield from _check_published(spec)


def _check_training(training: Training) -> Iterator[str]:
    if training.steps < 1:
        yield f"training.steps={training.steps}: give 1 or more"
    wrong = [step for step in training.checkpoints if not 0 < step <= training.steps]
    if wrong or sorted(set(training.checkpoints)) != training.checkpoints:
        yield f"training.checkpoints={training.checkpoints}: give steps from 1 to {training.steps} in order, each once"
    if "{config}" not in training.launcher:
        yield f"training.launcher={training.launcher}: {{config}} must stand for psr_nsr, grpo or ppo, as in run_tiny_{{config}}.sh"


def _check_evaluation(spec: Spec) -> Iterator[str]:
    asked = spec.evaluation
    if not asked.datasets:
        yield "evaluation.datasets is empty"
    if asked.preset is not None and asked.preset not in PRESETS:
        yield f"evaluation.preset={asked.preset}: choose one of {', '.join(PRESETS)}"
    elif asked.prompt_template_type is not None and asked.prompt_template_type not in TEMPLATES:
        yield f"evaluation.prompt_template_type={asked.prompt_template_type}: choose one of {', '.join(TEMPLATES)}"
    else:
        try:
            spec.sampling()
        except ValueError as error:
            yield f"evaluation: {error}"
    others = set(asked.checkpoints or []) - {*spec.training.checkpoints, spec.training.steps}
    if others:
        yield f"evaluation.checkpoints: {sorted(others)} are none of training.checkpoints={spec.training.checkpoints}"
    if not asked.ks or sorted(set(asked.ks)) != asked.ks or asked.ks[0] < 2:
        yield f"evaluation.ks={asked.ks}: give numbers from 2 on in order, each once"
    elif asked.ks[-1] > asked.samples:
        yield f"evaluation.ks: pass@{asked.ks[-1]} needs {asked.ks[-1]} samples, evaluation.samples={asked.samples}"


def _check_arm(spec: Spec, name: str, arm: Arm) -> Iterator[str]:
    unknown = [method for method in arm.methods if method not in spec.methods]
    if unknown:
        yield f"arms.{name}.methods: {', '.join(unknown)} is not under methods"
    if arm.reference not in arm.methods:
        yield f"arms.{name}.reference={arm.reference} is none of its methods"
    if arm.tuned is not None and (spec.tuning is None or arm.tuned not in spec.tuning.learning_rates):
        yield f"arms.{name}.tuned={arm.tuned} is no list of tuning.learning_rates"
    if arm.tuned is not None and arm.learning_rate is not None:
        yield f"arms.{name}: give learning_rate or tuned, not both"
    if arm.tuned is None and arm.learning_rate is None:
        without = [one for one in arm.methods if one in spec.methods and spec.methods[one].learning_rate is None]
        if without:
            yield f"arms.{name}: {', '.join(without)} has no learning rate: give the arm learning_rate or tuned"


def _check_claim(spec: Spec, claim: Claim) -> Iterator[str]:
    minus, _, other_arm = claim.minus.partition("@")
    for method, arm in (
        (claim.method, claim.arm),
        *([(minus, other_arm or claim.arm)] if claim.minus != "base" else []),
    ):
        if arm not in spec.arms:
            yield f"arm {arm} is not under arms"
        elif method not in spec.arms[arm].methods:
            yield f"{method} is no method of arm {arm}"
    if claim.minus == "base" and claim.where == "matched":
        yield "minus base has no matched pass@1: a path begins there; where: last"
    if claim.figure == "pass@k" and claim.k not in spec.evaluation.ks:
        yield f"k={claim.k} is none of evaluation.ks={spec.evaluation.ks}"
    if (claim.margin > 0) != (claim.counts_as == "kept"):
        yield "kept needs a margin above 0, and nothing else has one"


def _check_published(spec: Spec) -> Iterator[str]:
    for dataset, rows in spec.published.items():
        if dataset not in spec.evaluation.datasets:
            yield f"published.{dataset} is none of evaluation.datasets"
        for method, figures in rows.items():
            if method != "base" and method not in spec.methods:
                yield f"published.{dataset}.{method} is not under methods"
            wrong = [key for key in figures if not (key.startswith("pass@") and key[5:].isdigit())]
            if wrong:
                yield f"published.{dataset}.{method}: {', '.join(wrong)} is no pass@k"
            for key, figure in figures.items():
                if not isinstance(figure, str) and not 0 <= figure <= 100:
                    yield f"published.{dataset}.{method}.{key}={figure} is no percentage"
