"""Prompt templates: exact text, and the Jinja form that verl gets renders the same."""

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.prompts import TEMPLATES, chat_template, foreign_markers, render


def jinja(name: str, problem: str, add_generation_prompt: bool = True) -> str:
    template = jinja2.Environment(autoescape=False).from_string(chat_template(name))
    messages = [{"role": "user", "content": problem}]
    return template.render(messages=messages, add_generation_prompt=add_generation_prompt)


def test_exact_text(golden):
    cases = golden("prompts.json")
    assert set(cases) <= set(TEMPLATES)
    for name, case in cases.items():
        assert render(name, case["problem"]) == case["prompt"]


@given(st.sampled_from(sorted(TEMPLATES)), st.text())
def test_training_and_evaluation_ask_the_same(name, problem):
    assert jinja(name, problem) == render(name, problem)


@pytest.mark.parametrize("problem", ["{problem}", "{{ messages }}", "{% if x %}", "\\boxed{\\frac{1}{2}}"])
def test_a_problem_is_never_taken_for_a_template(problem):
    assert problem in render("qwen", problem)
    assert jinja("qwen", problem) == render("qwen", problem)


def test_unknown_template():
    with pytest.raises(KeyError):
        render("nope", "1+1")


class Tokenizer:
    """Every character is a token, and so is each of ``marks``; ``unknown`` is what it makes of all others."""

    unk_token_id = 0

    def __init__(self, *marks: str, unknown: bool = False):
        self.marks, self.unknown = marks, unknown

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        if text in self.marks:
            return [7]
        return [0] if self.unknown else [1] * len(text)


@pytest.mark.parametrize("unknown", [False, True])
def test_a_template_is_for_models_that_have_its_marks(unknown):
    qwen = Tokenizer("<|im_start|>", "<|im_end|>", unknown=unknown)
    assert foreign_markers("qwen", qwen, "m") is None
    assert foreign_markers("simple", Tokenizer(unknown=unknown), "m") is None
    assert "<think>, </think> are no tokens of m: it is another model's" in foreign_markers(
        "qwen3_no_thinking", qwen, "m"
    )
    for name in ("llama", "countdown"):
        assert foreign_markers(name, qwen, "m").startswith(f"prompt template {name}: <")
