"""What counts as a gold answer, in every form that data files have for one."""

import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.records import DataError
from rlvr.verify.gold import answers, as_target
from rlvr.verify.verifiers import UnknownDataSource, kind_of, verifier_for, verify_batch

SAID = {
    "2": ["2"],
    " 2\n": ["2"],
    '["2"]': ["2"],
    '["1", "2"]': ["1", "2"],
    "['$2$']": ["$2$"],
    "[0, 1]": ["[0, 1]"],  # an interval
    "[2]": ["[2]"],
    "(1, 2]": ["(1, 2]"],
    "1+2 = <<1+2=3>>3\n#### 1,234": ["1,234"],
    "so \\boxed{\\frac12} and \\boxed{7}": ["7"],
    "# a\n\n#### Heading\n\nso \\boxed{3}": ["3"],
    '{"ground_truth": "5"}': ["5"],
    "\\{1, 2\\}": ["\\{1, 2\\}"],
    "none": ["none"],  # an answer in words
}


@pytest.mark.parametrize("text", SAID)
def test_texts(text):
    assert list(answers(text)) == SAID[text]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (204, "204"),
        (-3, "-3"),
        (142.0, "142"),
        (0.25, "0.25"),
        (1e-7, "0.0000001"),
        (Decimal("1.50"), "1.50"),
        (np.int64(7), "7"),
        (np.array(["2"]), "2"),
        (b"5", "5"),
        ([["2"]], "2"),
        ({"value": "2"}, "2"),
        ({"question": "?", "target": 3, "solution": None}, "3"),
        ({"question": "?", "target": "lost", "solution": "so \\boxed{\\frac{1}{2}}"}, "\\frac{1}{2}"),
        ({"question": "?", "target": "3", "solution": "a proof"}, "3"),
        (10**30, str(10**30)),
    ],
)
def test_other_types(value, expected):
    assert answers(value) == (expected,)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "null"),
        (True, "True"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("", "empty"),
        (" \n", "empty"),
        ([], "empty list"),
        ("[]", "empty"),
        ([None], "null"),
        ({}, "without an answer"),
        ({"solution": "a proof in prose"}, "without a box"),
        ({"solution": "so \\boxed{}", "target": ""}, "empty"),
        ("\\boxed{}", "empty or never closed"),
        ("\\boxed{1", "empty or never closed"),
        ("... ####", "nothing stands after"),
        ("a\n#### b\nc", "several lines"),
        ("notfound", "missing"),
        ("None", "missing"),
        ("nan", "missing"),
        ("word " * 100, "499 characters without a box"),
        ("\frac{1}{2}", "backslash"),
        ("\text{east}", "backslash"),
        ("2\\pi \right", "backslash"),
        (b"\xff", "UTF-8"),
        (object(), "type object"),
        ([[[[[[[[[["2"]]]]]]]]]], "too deeply"),
    ],
)
def test_what_is_no_gold_says_why(value, why):
    _refused(value, why)


def test_a_number_of_too_many_digits():
    _refused(10**5000, "4,300 digits")


def _refused(value, why):
    with pytest.raises(DataError, match=why):
        answers(value)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1), min_size=1, max_size=3))
def test_what_is_stored_is_read_again(texts):
    try:
        found = answers(texts)
    except DataError:
        return
    assert answers(as_target(found)) == found


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.text() | st.floats() | st.booleans(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_nothing_raises_anything_else(value):
    for given_value in (value, json.dumps(value), str(value)):
        try:
            assert all(text.strip() for text in answers(given_value))
        except DataError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("gold", ['["2", "3"]', ["2", "3"], {"target": ["2", "3"]}])
def test_all_of_several_golds_are_wanted(gold):
    for answer, right in ((r"\boxed{2, 3}", True), (r"\boxed{3} and \boxed{2.0}", True), (r"\boxed{2}", False)):
        assert verifier_for("own/x")(answer, gold).correct is right
        (verdict,) = verify_batch("own/x", [(answer, gold)])
        assert verdict.correct is right


def test_without_a_gold_the_grader_has_failed_not_the_response():
    for gold in (None, "", [], {"target": None}):
        (verdict,) = verify_batch("own/x", [("\\boxed{2}", gold)])
        assert verdict.failed and verdict.error.startswith("error: the gold")


@pytest.mark.parametrize(
    "source",
    [
        "openai/gsm8k",
        "math_dapo",
        "lighteval/MATH",
        "HuggingFaceH4/MATH-500",
        "aime2024",
        "train-math-deepscaler",
        "numina_olympiads",
        "MathArena/aime_2025",
        "KbsdJames/Omni-MATH",
        "Hothan/OlympiadBench",
        "own/x",
    ],
)
def test_known_foreign_sources_are_mathematics(source):
    assert kind_of(source) == "math"


@pytest.mark.parametrize("source", ["codecontests", "train-code-taco", "x", "", "my/mathematics", "searchR1_nq"])
def test_others_need_a_mapping(source):
    with pytest.raises(UnknownDataSource, match=r"data\.verifiers"):
        kind_of(source)
    assert kind_of(source, {"*": "exact"}) == "exact"
    assert kind_of("openai/gsm8k", {"openai/*": "exact"}) == "exact"


def test_exact_compares_letters():
    verify = verifier_for("x", verifiers={"x": "exact"})
    assert verify("\\boxed{a  b}", "a b").correct
    assert not verify("\\boxed{0.5}", "1/2").correct
    assert verify("nothing", "a").error == "no answer"
