"""What is judged: learning rates, claims, published figures, estimates, what a run logged. Closed forms and properties."""

import json
import math
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from passk.estimate import Statistic
from rlvr.study import estimate, gather
from rlvr.study.claims import CONFIRMED, NOT_CONFIRMED, NOT_RUN, REFUTED, Paths, answer, verdict
from rlvr.study.commands import RunFailed
from rlvr.study.load import load
from rlvr.study.published import Cell, cells, table
from rlvr.study.spec import Assumed, Claim, Measured
from rlvr.study.tuning import choose, read_chosen
from tests.unit.passk.test_frontier import straight
from tests.unit.rlvr.study.made import HEADER, specification

POINTS = st.floats(-20, 20, allow_nan=False)


@given(st.dictionaries(st.floats(1e-6, 1e-3), st.floats(0, 1), min_size=1), st.floats(0, 0.2))
def test_the_smallest_rate_that_is_good_enough(numbers, within):
    rate = choose(numbers, within)
    assert numbers[rate] >= max(numbers.values()) - within
    assert all(number < max(numbers.values()) - within for other, number in numbers.items() if other < rate)


def test_a_damaged_file_of_rates_is_named(tmp_path):
    assert read_chosen(tmp_path / "none.json") == {}
    file = tmp_path / "rates.json"
    for text in ("{", "[]", '{"chosen": {"one": {"psr": 3}}}'):
        file.write_text(text)
        with pytest.raises(RunFailed, match=r"rates\.json: not what --tune writes"):
            read_chosen(file)


@pytest.mark.parametrize(
    ("counts_as", "low", "high", "said"),
    [
        ("above", 0.5, 4.8, CONFIRMED),
        ("above", -0.5, 4.8, NOT_CONFIRMED),
        ("above", -4.8, -0.5, REFUTED),
        ("below", -8.1, -2.6, CONFIRMED),
        ("below", -1.0, 0.1, NOT_CONFIRMED),
        ("below", 0.1, 2.0, REFUTED),
        ("kept", -1.9, 3.0, CONFIRMED),
        ("kept", -1.9, -0.1, CONFIRMED),
        ("kept", -2.1, 3.0, NOT_CONFIRMED),
        ("kept", -4.7, -0.9, REFUTED),
    ],
)
def test_verdicts(counts_as, low, high, said):
    assert verdict(counts_as, low, high, 2.0) == said


@given(POINTS, POINTS)
def test_verdicts_mirror_each_other(a, b):
    low, high = sorted((a, b))
    assert verdict("above", low, high, 0) == verdict("below", -high, -low, 0)
    order = [REFUTED, NOT_CONFIRMED, CONFIRMED]
    moved = verdict("above", low + 1, high + 1, 0)
    assert order.index(moved) >= order.index(verdict("above", low, high, 0)), "better figures never judge worse"
    assert verdict("kept", low, high, 1e-12) == verdict("above", low, high, 0) or -1e-11 < low <= 0


def claim(**fields):
    usual = {
        "text": "",
        "arm": "a",
        "method": "nsr",
        "minus": "psr",
        "figure": "pass@k",
        "where": "matched",
        "counts_as": "above",
    }
    return Claim(**(usual | {"k": 16} | fields))


def test_claims_read_the_paths():
    nsr, psr = straight("nsr", [0.2, 0.4], [[0.9, 0.9]], seeds=2), straight("psr", [0.2, 0.4], [[0.9, 0.7]], seeds=2)
    entropy = {
        name: path.carrying("entropy", [[0.2, 0.2 - lost]] * 2)
        for name, path, lost in (("nsr", nsr, 0.01), ("psr", psr, 0.1))
    }
    arms = {"a": {"nsr": Paths(nsr, entropy["nsr"]), "psr": Paths(psr, entropy["psr"])}, "b": {"nsr": Paths(psr, None)}}
    won = answer(claim(), arms)
    assert won.verdict == CONFIRMED and won.figure.value == pytest.approx(10), "points: the mean of a triangle"
    assert answer(claim(minus="nsr@b"), arms).verdict == CONFIRMED, "another arm's method"
    lost = answer(claim(method="psr", minus="base", where="last", counts_as="below"), arms)
    assert lost.verdict == CONFIRMED and lost.figure.value == pytest.approx(-20)
    kept = answer(claim(figure="entropy", minus="base", where="last", counts_as="kept", margin=0.02, k=None), arms)
    assert kept.verdict == CONFIRMED and kept.figure.value == pytest.approx(-0.01), "nats"
    for missing, why in (
        (claim(arm="c"), "not there"),
        (claim(k=8), "pass@8 was not asked for"),
        (claim(figure="entropy", minus="nsr@b", k=None), "not measured"),
    ):
        assert answer(missing, arms).verdict == NOT_RUN and why in answer(missing, arms).why
    fell = Paths(straight("nsr", [0.2, 0.1], [[0.9, 0.9]], seeds=2), None)
    assert "no pass@1 above" in answer(claim(), {"a": {"nsr": fell, "psr": arms["a"]["psr"]}}).why
    one_seed = Paths(
        straight("nsr", [0.2, 0.4], [[0.9, 0.9]]),
        straight("nsr", [0.2, 0.4], [[0.9, 0.9]]).carrying("entropy", [[0.2, 0.1]]),
    )
    alone = claim(figure="entropy", minus="base", where="last", counts_as="kept", margin=0.02, k=None)
    assert "one seed" in answer(alone, {"a": {"nsr": one_seed}}).why


def test_beside_published_figures():
    ours = {"base": {"pass@1": Statistic(0.63, 0.61, 0.65, 500)}, "nsr": {"pass@1": Statistic(0.70, 0.68, 0.72, 500)}}
    found = cells(
        "MATH",
        {"base": {"pass@1": 63.2}, "nsr": {"pass@1": 75.7}, "ppo": {"pass@1": 76.6}},
        ours,
        ["base", "nsr", "ppo", "psr"],
        ["pass@1"],
    )
    assert [one.verdict for one in found] == ["agrees", "ours is lower by 5.7", "not run", "not run"]
    assert Cell("MATH", "nsr", "pass@1", None, Statistic(70, 68, 72, 5)).verdict == "not in our table"
    assert Cell("MATH", "nsr", "pass@1", "not published", Statistic(70, 68, 72, 5)).verdict == "not published"
    lines = table(found)
    assert lines[2] == "| MATH | base | pass@1 | 63.2 | 63.0 [61.0, 65.0] | agrees |"


@given(st.floats(0, 100), POINTS, st.floats(0.1, 10))
def test_a_published_figure_in_the_interval_agrees(published, shift, width):
    middle = published + shift
    one = Cell("MATH", "nsr", "pass@1", published, Statistic(middle, middle - width, middle + width, 10))
    assume(abs(abs(shift) - width) > 0.1)
    assert (one.verdict == "agrees") == (abs(shift) < width)
    if abs(shift) > width:
        assert ("higher" in one.verdict) == (shift > 0)


def test_times_on_a_cpu():
    measured = Measured(train_start_s=40, step_s=4, evaluation_start_s=18, answers_per_s=1000, jobs=2, checkpoint_mb=5)
    assert estimate.training_on_cpu(measured, 30).seconds == 160
    assert estimate.evaluation_on_cpu(measured, 5, 320, 256).seconds == pytest.approx(18 + 409.6)


def test_operations_on_gpus():
    """One GPU that does 1e12 operations a second and uses all of them: seconds are operations in tera."""
    assumed = Assumed(
        gpus=1,
        peak_tflops=1,
        training_utilisation=1,
        generation_utilisation=1,
        prompt_tokens=10,
        answer_tokens=90,
        questions=4,
    )
    plain = estimate.Step(samples=10, kept=5, updates=1, parameters=1e9)
    assert estimate.training_on_gpus(assumed, plain, 2).seconds == pytest.approx(2 * (2e9 * 1000 + 8e9 * 500) / 1e12)
    everything = estimate.Step(samples=10, kept=5, updates=4, parameters=1e9, critic_parameters=1e9, reference=True)
    assert estimate.training_on_gpus(assumed, everything, 1).seconds == pytest.approx(
        (2e9 * 1000 + 500 * (12e9 + 10e9)) / 1e12
    )
    assert estimate.evaluation_on_gpus(assumed, 1e9, 8).gpu_hours == pytest.approx(
        2e9 * 4 * (8 * 90 + 10) / 1e12 / 3600
    )
    more = msgspec.structs.replace(assumed, gpus=8)
    one, eight = (estimate.evaluation_on_gpus(which, 1e9, 8) for which in (assumed, more))
    assert eight.gpu_hours == pytest.approx(one.gpu_hours) and eight.seconds == pytest.approx(one.seconds / 8)


LOG = {
    0: {"val-core/entropy": 0.2},
    1: {"rlvr/correct_count": 2.0, "rlvr/incorrect_count": 6.0, "rlvr/kept_count": 2.0, "response_length/mean": 5.0},
    2: {"rlvr/correct_count": 0.0, "rlvr/incorrect_count": 8.0, "rlvr/kept_count": 0.0, "val-core/entropy": 0.15},
    3: {"rlvr/correct_count": 4.0, "rlvr/incorrect_count": 4.0, "rlvr/kept_count": 4.0, "response_length/mean": 7.0},
}


def test_what_it_cost():
    assert gather.summed(LOG, gather.samples_of, (0, 2, 3)) == [0, 16, 24]
    tokens = gather.summed(LOG, gather.tokens_of, (0, 1, 2, 3))
    assert tokens == [0, 10, 10, 38], "a step that was skipped learned nothing"
    assert math.isnan(gather.summed(LOG, gather.samples_of, (0, 4))[1])
    assert not gather.known([[0.1, math.nan]]) and gather.known([[0.1], [0.2]])


def test_entropy_begins_at_one_value_for_all_runs():
    assert gather.entropies(LOG, (0, 2), 0.21) == [0.21, 0.15], "not at the run's own 0.2"
    assert math.isnan(gather.entropies(LOG, (0, 2, 3), 0.21)[2]), "it was not validated there"


def test_the_base_s_entropy_is_the_mean_over_the_runs(tmp_path):
    def run(name: str, line: str) -> SimpleNamespace:
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text(line)
        return SimpleNamespace(folder=tmp_path / name)

    one = run("one", '{"step": 0, "val-core/entropy": 0.2}\n{"step": 1, "val-core/entropy": 0.9}\n')
    other = run("other", '{"step": 0, "val-core/entropy": 0.3}\n')
    silent, to_come = run("silent", '{"step": 1}\n'), SimpleNamespace(folder=tmp_path / "to come")
    arms = {"a": {"nsr": [one, silent], "psr": [other]}, "b": {"nsr": [one, to_come]}}
    assert gather.base_entropy(arms) == pytest.approx(0.25), "a run of two arms counts once"
    assert math.isnan(gather.base_entropy({"a": {"nsr": [silent]}}))


def test_the_checkpoint_of_the_tables(tmp_path):
    spec = load(specification(tmp_path))
    assert gather.checkpoint_of(spec, LOG, (2, 3)) == 3
    best = load(specification(tmp_path, HEADER.replace("top_p: 0.95", "top_p: 0.95, checkpoint: val-core/entropy")))
    assert gather.checkpoint_of(best, LOG | {3: LOG[3] | {"val-core/entropy": 0.1}}, (2, 3)) == 2
    with pytest.raises(RunFailed, match=r"evaluation\.checkpoint=val-core/entropy is in no step"):
        gather.checkpoint_of(best, {}, (2, 3))


def test_incomplete_samples_are_no_evidence(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps({"question_id": 0, "generation_id": 0, "label": True}) + "\n" + '{"question_id": 0')
    with pytest.raises(RunFailed, match="is not complete"):
        gather.Reader()(file)
