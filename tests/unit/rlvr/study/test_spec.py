"""Specifications: the ones that are there, and what is said of wrong ones."""

import pytest

from rlvr.methods import METHODS
from rlvr.study.load import load
from rlvr.study.spec import SpecError
from tests.conftest import ROOT
from tests.unit.rlvr.study.made import HEADER, specification

STUDIES = sorted((ROOT / "studies").glob("*.yaml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_study_is_right(file):
    spec = load(file)
    for method in spec.methods.values():
        assert (ROOT / spec.training.launcher.format(config=method.config)).is_file()
        assert method.settings.get("algorithm.advantage", "positive") in METHODS


def test_the_tiny_study_is_that_of_the_protocol():
    """The page was written before the runs; the specification may not drift from it."""
    spec = load(ROOT / "studies" / "tiny.yaml")
    page = " ".join((ROOT / "docs" / "results" / "protocol.md").read_text().split())
    steps = spec.training.checkpoints
    assert f"after steps {', '.join(map(str, steps[:-1]))} and {steps[-1]}, and the base" in page
    assert (
        f"{spec.evaluation.questions} questions × {spec.evaluation.samples} samples, temperature 0.6, top-p 0.95"
        in page
    )
    assert f"{spec.tuning.questions} questions of the tuning split × {spec.tuning.samples} samples" in page
    assert "Tried for every method: 3e-5, 6e-5 and 1e-4 with one update a step; 1.5e-5, 3e-5 and 6e-5 with four" in page
    assert spec.tuning.learning_rates == {"one_update": [3e-5, 6e-5, 1e-4], "four_updates": [1.5e-5, 3e-5, 6e-5]}
    assert all(f"| `{arm}` |" in page for arm in spec.arms)
    assert spec.seeds == 3 and spec.tuning.within == 0.01
    assert set(spec.arms["methods"].methods) >= {"grpo", "ppo", *(set(METHODS) - {"positive", "negative", "weighted"})}
    for claim in spec.claims:
        assert f"`{claim.arm}`" in page or claim.minus == "nsr@paper"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds: 2", "seeds: two", "Expected `int`, got `str` - at `$.seeds`"),
        ("seeds: 2", "seeds: 2\nseedz: 1", "unknown field `seedz`"),
        ("seeds: 2", "seeds: 2\nseeds: 3", "not YAML: while constructing"),
        ("seeds: 2", "seeds: 0", "seeds=0: give 1 or more"),
        ("seeds: 2", "seeds: [", "not YAML"),
        ("questions: 12, samples: 8", "questions: 0, samples: 8", "Expected `int` >= 1 - at `$.evaluation.questions`"),
        ("questions: 12, samples: 4", "questions: 12, samples: 0", "Expected `int` >= 1 - at `$.tuning.samples`"),
        ("rates: [6e-5, 1e-4]", "rates: [-6e-5]", "Expected `float` > 0.0 - at `$.tuning.learning_rates[...][0]`"),
        ("rates: [6e-5, 1e-4]", "rates: []", "Expected `array` of length >= 1 - at `$.tuning.learning_rates[...]`"),
        ("learning_rate: 6e-5}", "learning_rate: .nan}", "Expected `float` > 0.0 - at `$.arms[...].learning_rate`"),
        ("answers_per_s: 100", "answers_per_s: 0", "Expected `float` > 0.0 - at `$.measured.answers_per_s`"),
        ("device: cpu", "device: tpu", "Invalid enum value 'tpu' - at `$.device`"),
        (
            "checkpoints: [2, 4], s",
            "checkpoints: [4, 2], s",
            "training.checkpoints=[4, 2]: give steps from 1 to 4 in order",
        ),
        ("checkpoints: [2, 4], s", "checkpoints: [2, 6], s", "training.checkpoints=[2, 6]"),
        ("run_tiny_{config}.sh", "run_tiny_ppo.sh", "{config} must stand for"),
        (
            "prompt_template_type: countdown",
            "prompt_template_type: nope",
            "evaluation.prompt_template_type=nope: choose",
        ),
        ("top_p: 0.95", "top_p: 1.95", "evaluation: --temperature 0.6 --top_p 1.95"),
        ("ks: [2, 8]", "ks: [2, 16]", "pass@16 needs 16 samples, evaluation.samples=8"),
        ("ks: [2, 8]", "ks: [8, 2]", "evaluation.ks=[8, 2]"),
        ("methods: [psr, nsr], ref", "methods: [psr, nrs], ref", "arms.first.methods: nrs is not under methods"),
        ("reference: psr", "reference: ppo", "arms.first.reference=ppo is none of its methods"),
        ("tuned: rates", "tuned: ratse", "arms.first.tuned=ratse is no list of tuning.learning_rates"),
        ("tuned: rates", "learning_rate: null", "psr, nsr has no learning rate"),
        ("tuned: rates", "tuned: rates, learning_rate: 1.0", "give learning_rate or tuned, not both"),
        ("k: 8, where: matched", "k: 4, where: matched", "claims[0]: k=4 is none of evaluation.ks=[2, 8]"),
        ("minus: psr", "minus: base", "claims[0]: minus base has no matched pass@1"),
        ("minus: psr", "minus: psr@fixed", "claims[0]: psr is no method of arm fixed"),
        ("margin: 0.05", "margin: 0", "claims[1]: kept needs a margin above 0"),
        ("measured: {", "assumed: null\nmeasuerd: {", "unknown field `measuerd`"),
        (
            "measured: {",
            "published: {other: {psr: {pass@1: 3}}}\nmeasured: {",
            "published.other is none of evaluation.datasets",
        ),
        ("measured: {", "published: {countdown: {psr: {pass1: 3}}}\nmeasured: {", "pass1 is no pass@k"),
        ("measured: {", "published: {countdown: {psr: {pass@1: 300}}}\nmeasured: {", "=300.0 is no percentage"),
        (
            "quick: {learning_rate: 1e-4, checkpoints: [4]",
            "quick: {learning_rate: 1e-4, checkpoints: [3]",
            "quick.checkpoints=[3]",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, old, new, said):
    assert HEADER.count(old) >= 1
    file = specification(tmp_path, HEADER.replace(old, new, 1))
    with pytest.raises(SpecError) as refused:
        load(file)
    assert said in str(refused.value)
    assert all(line.startswith(str(file)) for line in str(refused.value).splitlines()), "one line each, with the file"


def test_every_problem_is_said_at_once(tmp_path):
    file = specification(tmp_path, HEADER.replace("reference: psr", "reference: x").replace("seeds: 2", "seeds: 0"))
    with pytest.raises(SpecError) as refused:
        load(file)
    assert len(str(refused.value).splitlines()) == 2


def test_no_file(tmp_path):
    with pytest.raises(SpecError, match="No such file"):
        load(tmp_path / "none.yaml")


def test_a_rate_is_a_number_however_it_is_written(tmp_path):
    assert load(specification(tmp_path)).arms["fixed"].learning_rate == 6e-5
