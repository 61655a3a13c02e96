"""Prompts that are too long are counted as verl's data set counts them, and said before a run."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rlvr.data.questions import Question, read_questions
from rlvr.hub import local_tokenizer
from rlvr.launch import data_files, preflight, prompt_tokens
from rlvr.prompts import TEMPLATES, chat_template
from rlvr.tiny.tokenizer import build_tokenizer
from rlvr.training.dataset import QuestionDataset
from tests.unit.rlvr.launch.test_preflight import config  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    build_tokenizer().save_pretrained(folder)
    return str(folder)


def write(path, questions):
    path.write_text("".join(json.dumps({"question": one, "answer": "1"}) + "\n" for one in questions))
    return path


def run_of(model, limit, template="countdown"):
    return OmegaConf.create(
        {
            "data": {"max_prompt_length": limit},
            "actor_rollout_ref": {"model": {"path": model, "custom_chat_template": chat_template(template)}},
        }
    )


@given(st.lists(st.text("0123456789+*é漢 ", min_size=1, max_size=40), min_size=1, max_size=8), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("template", TEMPLATES)
def test_as_verl_counts(model, template, questions, limit):
    tokenizer = local_tokenizer(model)
    asked = [Question(0, text, "1", "own/x", {}, ({"role": "user", "content": text},)) for text in questions]
    counts = [
        len(
            tokenizer.apply_chat_template(
                list(one.messages),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
                chat_template=chat_template(template),
            )
        )
        for one in asked
    ]
    assert prompt_tokens.too_long(run_of(model, limit, template), asked) == sum(count > limit for count in counts)


def test_what_is_left_is_what_verl_trains_on(model, tmp_path):
    file = write(tmp_path / "a.jsonl", ["1+" * length + "1" for length in range(20)])
    found = run_of(model, 16)
    left = len(questions := read_questions(file, {"own/*": "math"})) - prompt_tokens.too_long(found, questions)
    tokenizer = build_tokenizer()
    tokenizer.chat_template = chat_template("countdown")
    data = {
        "max_prompt_length": 16,
        "cache_dir": str(tmp_path / "cache"),
        "filter_overlong_prompts_workers": 1,
        "verifiers": {"own/*": "math"},
    }
    assert len(QuestionDataset([str(file)], tokenizer, OmegaConf.create(data))) == left
    assert 0 < left < len(questions)


def test_a_template_that_refuses_a_prompt(model):
    run = run_of(model, 100)
    run.actor_rollout_ref.model.custom_chat_template = "{{ raise_exception('no such role') }}"
    assert prompt_tokens.too_long(run, [Question(0, "1", "1", "x", {}, ({"role": "user", "content": "1"},))]) == 1


def test_a_model_that_is_elsewhere():
    run = run_of("own/model-that-is-nowhere", 1)
    assert not prompt_tokens.can_count(run)
    assert prompt_tokens.too_long(run, [Question(0, "1", "1", "x", {}, ({"role": "user", "content": "11"},))]) == 0


# ---- before a run


def check(config, file, model, *more):  # noqa: F811
    settings = [f"data.train_files={file}", f"actor_rollout_ref.model.path={model}", "data.verifiers={own/*: math}"]
    settings += ["data.prompt_template_type=countdown", "data.max_prompt_length=16"]
    return list(data_files.check(composed := config(*settings, *more))), data_files.rows(composed, "train_files")


def test_some_are_a_warning_and_in_no_number(config, model, tmp_path, capsys):  # noqa: F811
    file = write(tmp_path / "a.jsonl", [f"{number}+1" for number in range(6)] + ["1+" * 20 + f"{n}" for n in range(3)])
    assert check(config, file, model) == ([], 6)
    warning = "3 of 9 prompts have more than data.max_prompt_length=16 tokens and are left out"
    assert f"warning: data.train_files: {warning}" in capsys.readouterr().err
    assert check(config, file, model, "data.filter_overlong_prompts=false") == ([], 9)
    assert "are cut at their beginning" in capsys.readouterr().err
    (problem,), _ = check(
        config, file, model, "data.train_batch_size=8", "actor_rollout_ref.actor.ppo_mini_batch_size=8"
    )
    assert problem == "data.train_batch_size=8 but data.train_files hold only 6 questions"


def test_none_left_is_refused(config, model, tmp_path):  # noqa: F811
    file = write(tmp_path / "a.jsonl", ["1+" * 20 + f"{number}" for number in range(9)])
    (problem,), _ = check(config, file, model)
    assert problem == "data.train_files: every prompt has more than data.max_prompt_length=16 tokens: raise it"


def test_copies_are_said(config, model, tmp_path, capsys):  # noqa: F811
    assert check(config, write(tmp_path / "a.jsonl", ["1+1"] * 6 + ["1+2"]), model) == ([], 7)
    assert "a.jsonl: 5 of 7 questions are copies of others" in capsys.readouterr().err


def test_the_template_of_another_model_is_said(config, model, capsys):  # noqa: F811
    settings = [f"actor_rollout_ref.model.path={model}", "data.prompt_template_type=qwen"]
    assert list(preflight.check_data_files(config(*settings, "data.max_prompt_length=500"))) == []
    said = f"prompt template qwen: <|im_start|>, <|im_end|> are no tokens of {model}: it is another model's template"
    assert f"warning: {said}" in capsys.readouterr().err
    assert prompt_tokens.foreign_template(config(*settings, "data.prompt_template_type=countdown")) is None
    assert prompt_tokens.foreign_template(config(*settings, "data.prompt_template_type=simple")) is None
    own = "actor_rollout_ref.model.custom_chat_template='{{ messages[-1].content }}'"
    assert prompt_tokens.foreign_template(config(*settings, own)) is None
