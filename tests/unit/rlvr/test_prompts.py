"""Prompt templates: exact text, and the Jinja form that verl gets renders the same."""

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

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


def test_a_template_is_for_models_that_have_its_marks(tmp_path):
    qwen = Tokenizer(BPE())
    qwen.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    qwen.save(str(tmp_path / "tokenizer.json"))
    model = str(tmp_path)
    assert foreign_markers("qwen", model) is None and foreign_markers("simple", model) is None
    assert f"<think>, </think> are no tokens of {model}: it is another model's" in foreign_markers(
        "qwen3_no_thinking", model
    )
    for name in ("llama", "countdown"):
        assert foreign_markers(name, model).startswith(f"prompt template {name}: <")


@pytest.mark.parametrize("model", ["own/model-that-is-nowhere", "/no/such/folder", "no/such/folder/either"])
def test_of_a_model_that_is_elsewhere_nothing_is_said(model):
    assert foreign_markers("qwen", model) is None
