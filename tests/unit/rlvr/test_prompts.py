"""Prompt templates: exact text, and the Jinja form that verl gets renders the same."""

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.prompts import TEMPLATES, chat_template, render


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
