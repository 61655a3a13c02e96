r"""The named policies: box, tag, ####, "final answer", "the answer is", last number; each can be switched off."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.verify.extract import extract, gold_answer
from rlvr.verify.policy import BOXED_ONLY, EXTRACTIONS, Policy

# Each line: a gold, responses that give it, and responses that do not.
RESPONSES = [json.loads(line) for line in Path(__file__).with_name("responses.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("gold", "response"), [(each["gold"], text) for each in RESPONSES for text in each["right"]])
def test_responses_that_give_the_answer(verifier, gold, response):
    assert verifier.verify(response, gold).correct


@pytest.mark.parametrize(("gold", "response"), [(each["gold"], text) for each in RESPONSES for text in each["wrong"]])
def test_responses_that_do_not(verifier, gold, response):
    assert not verifier.verify(response, gold).correct


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
        (r"\boxed{}", None),
        (r"\boxed", None),
        (r"it is \boxed{3}, as in a \boxed{}", "3"),
        (r"it is \boxed{3}, and belongs in a \boxed box", "3"),
        (r"the answer is 3, so \boxed{7", None),
        (r"no: \boxed{3} but \boxed{7", None),
        (r"\boxed{3} and \boxed{4 and \boxed{5}", None),
        ("\\boxed{4 \n\nso \\boxed{5}", "5"),
        (r"\boxed{3} or \boxed{4}", "3; 4"),
        (r"\boxed{3}, so \boxed{4}", "4"),
        ("\boxed{7}", "7"),
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
        ("Final Answer: The final answer is $7$. I hope it is correct.", "7"),
        ("## Final Answer\n\n$7$", "7"),
        ("The answer is thus equal to 7.", "7"),
        ("The answer is 7, which is a prime.", "7"),
        ("The answer is 7 because 3 + 4 = 7.", "7"),
        ("The answer is $7$ or $8$.", "$7$ or $8$"),
        ("The answer is $7$, or maybe $8$.", "$7$, or maybe $8$"),
        ("The answer is $7$ times $8$.", "$7$ times $8$"),
        ("The answer is $7$? No, it is $8$.", None),
        ("The answer is 7. Wait, it is 8.", None),
        ("<answer>7</answer> in 3 steps", "7"),
        ("<answer> </answer> <answer>The answer is 7.</answer>", "7"),
        ("in 3 steps <answer>7", None),
        ("#### 7\nin 3 steps", "7"),
        ("#### 3. The sum\nmakes 7", "7"),
        ("**Answer:** 3.5", "3.5"),
        ("The answer is 4. No, the answer is (1, 2).", "(1, 2)"),
        ("so we find 12 and 13.", "12 and 13"),
        ("The length is $\\sqrt{2}$.", r"\sqrt{2}"),
        ("It equals $2^3$.", "2^3"),
        ("so x = 2^3", "x = 2^3"),
        ("it is 5:12 o'clock", "5:12"),
        ("There are not 7.", None),
        ("See page 7", None),
        ("There are 7 or more.", None),
        ("about 7", None),
        ("he is 7th", None),
        ("it costs 7k", "7k"),
        ("in the end 7 dozen", None),
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
    response = "The answer is $x$. It has 9 pages. "
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
@given(st.text(alphabet=st.sampled_from("\\boxedfbx{} 7$.answeri\n"), max_size=80), st.permutations(list(EXTRACTIONS)))
def test_no_text_raises(text, order):
    extract(text, Policy(tuple(order)))


def test_a_response_of_nothing_but_boxes_ends():
    extract("\\boxed{" * 20_000, Policy())
    extract("\\boxed{" * 5_000 + "}" * 5_000, Policy())


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>it may be \\boxed{3}</think> It is \\boxed{7}.", "7"),
        ("<think>it is \\boxed{7}</think> So it is done.", None),
        ("it is \\boxed{3} </think> So it is \\boxed{7}.", "7"),
        ("<think>it is \\boxed{7}. Let me check", None),
        ("<|im_start|>assistant\n\\boxed{7}<|im_end|>", "7"),
        ("\\boxed{7}<|im_end|>\n<|im_start|>user\nAnd? \\boxed{3}", "7"),
        ("The answer is 7</s>", "7"),
        ("The answer is 7<|eot_id|>", "7"),
        (
            "<|channel|>analysis<|message|>\\boxed{3}<|end|><|start|>assistant<|channel|>final<|message|>\\boxed{7}<|return|>",
            "7",
        ),
        ("<|channel|>analysis<|message|>\\boxed{3}", None),
    ],
)
def test_only_after_the_thought_and_before_the_end(response, answer):
    assert extract(response, Policy()) == answer


def test_several_boxes_are_one_answer_where_the_gold_has_several():
    response = "First \\boxed{9}.\n\nSo x is \\boxed{2} in one case and \\boxed{3} in the other."
    assert extract(response, Policy(), several=2) == "2; 3"
    assert extract(response, Policy()) == extract(response, Policy(), several=3) == "3"


@pytest.mark.parametrize("gold", [["2", "3"], "2, 3", {"target": ["3", "2"]}, r"\{2, 3\}"])
def test_a_gold_of_several_answers(verifier, gold):
    assert verifier.verify("x is \\boxed{2} or else \\boxed{3}", gold).correct
    assert verifier.verify("x is \\boxed{3, 2}", gold).correct
    for response in ("\\boxed{3}", "\\boxed{2} \\boxed{3} \\boxed{4}", "\\boxed{2}, then \\boxed{2}"):
        assert not verifier.verify(response, gold).correct


def test_golds_that_are_lists():
    assert gold_answer(["2", "$3$"]) == "2; 3"
    assert gold_answer({"target": ["2"]}) == "2"


@settings(max_examples=200, deadline=None)
@given(
    st.integers(2, 999),
    st.integers(1000, 9999),
    st.sampled_from(["or", "and", "or maybe", ", or", "not", "?  No:", "times", "/", "+"]),
)
def test_no_policy_picks_one_of_two_values(verifier, gold, other, joint):
    """In whatever order, and however the sentence begins."""
    for first, second in ((gold, other), (other, gold)):
        for text in (
            "The answer is ${}$ {} ${}$.",
            "Final answer: {} {} {}",
            "#### {} {} {}",
            "<answer>{} {} {}</answer>",
            "so {} {} {}",
        ):
            assert not verifier.verify(text.format(first, joint, second), str(gold)).correct


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [
            "\\\\sqrt{{{}}}",
            "2^{}",
            "x - {}",
            "\\\\frac{{{}}}{{7}}",
            "(0, {})",
            "{}!",
            "\\\\{{{}\\\\}}",
            "-{}",
            "3.{}",
            "{}x",
        ]
    ),
    st.integers(3, 99),
)
def test_no_number_is_cut_out_of_a_formula(verifier, formula, number):
    formula = formula.format(number).replace("\\\\", "\\")
    for text in (f"It is ${formula}$.", f"The answer is ${formula}$", f"#### {formula}", f"so it is {formula}"):
        verdict = verifier.verify(text, str(number))
        assert not verdict.correct, verdict


def test_a_response_of_nothing_but_tags_or_hashes_ends():
    for text in (
        "<answer>" * 20_000,
        "<answer></answer>" * 10_000,
        "#### \n" * 20_000,
        "answer is " * 10_000,
        "$$" * 20_000,
        "a? " * 9000,
    ):
        extract(text, Policy())
        extract("The answer is " + text, Policy())
