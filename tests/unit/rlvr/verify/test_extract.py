"""The last box, else "the answer is …", else the last number; each can be switched off."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.verify.extract import extract, gold_answer
from rlvr.verify.policy import BOXED_ONLY, EXTRACTIONS, Policy


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{7}.", "7"),
        (r"so \boxed {7}.", "7"),
        (r"so \boxed 5", "5"),
        (r"so \boxed -5", "-5"),
        (r"so $\boxed\pi$", r"\pi"),
        (r"so \fbox{7}", "7"),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\boxed{x=\boxed{7}}", "x=7"),
        (r"\boxed{3}, no: \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{7}. I have boxed the answer.", "7"),
        (r"\boxed{7} is in the \boxedanswer", "7"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        ("\\[\n\\boxed{\n(0,5)\n}\n\\]", "(0,5)"),
        (r"\boxed{}", ""),
        (r"\boxed", ""),
        (r"the answer is 3, so \boxed{7", None),
        (r"no: \boxed{3} but \boxed{7", None),
    ],
)
def test_boxes(response, answer):
    assert extract(response, Policy()) == answer
    assert extract(response, BOXED_ONLY) == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("The answer is 42.", "42"),
        ("The final answer is: $\\frac{1}{2}$, I think.", r"\frac{1}{2}"),
        ("**Answer:** 3.5", "3.5"),
        ("The answer is 4. No, the answer is (1, 2).", "(1, 2)"),
        ("so we find 12 and 13.", "13"),
        ("that makes 1,234 of them", "1,234"),
        ("a third, 1/3", "1/3"),
        ("x1 and y2", None),
        ("I do not know", None),
        ("", None),
    ],
)
def test_without_a_box(response, answer):
    assert extract(response, Policy()) == answer
    assert extract(response, BOXED_ONLY) is None


def test_each_policy_can_be_switched_off():
    response = "The answer is $x$. See page 9. "
    assert extract(response, Policy(("answer_is",))) == "x"
    assert extract(response, Policy(("last_number",))) == "9"
    assert extract(response + r"\boxed{3}", Policy(("last_number", "boxed"))) == "3"


def test_an_unclosed_box_is_a_matter_of_taste():
    assert extract("so \\boxed{7\nand", Policy(accept=("unclosed_box",))) == "7"


@pytest.mark.parametrize(
    ("ground_truth", "gold"),
    [
        ("7", "7"),
        (r"it is \boxed{3}, or \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        ({"question": "?", "target": "70"}, "70"),
        ({"question": "?", "target": 70}, "70"),
        ({"question": "?", "solution": r"so \boxed{(1\\2)}", "target": r"(1\2)"}, r"(1\\2)"),
        ({"question": "?", "solution": None, "target": "4"}, "4"),
    ],
)
def test_golds(ground_truth, gold):
    assert gold_answer(ground_truth) == gold


@pytest.mark.parametrize("ground_truth", ["", " ", {}, {"target": ""}, {"solution": r"\boxed{}", "target": ""}])
def test_a_gold_without_an_answer_is_named(ground_truth):
    with pytest.raises(ValueError, match="no gold answer"):
        gold_answer(ground_truth)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("\\boxedfbx{} 7$.answeri\n"), max_size=80), st.permutations(EXTRACTIONS))
def test_no_text_raises(text, order):
    extract(text, Policy(tuple(order)))


def test_a_response_of_nothing_but_boxes_takes_no_time(within):
    with within(1.0):
        extract("\\boxed{" * 20_000, Policy())
        extract("\\boxed{" * 5_000 + "}" * 5_000, Policy())
