"""The tiny model's tokenizer survives being loaded as any Qwen2 tokenizer is."""

import random

import pytest
from transformers import AutoTokenizer, Qwen2Config

from rlvr.tiny.pretrain import IGNORED, encode, token_ids
from rlvr.tiny.task import MAX_VALUE, SIZES, chains, make_split
from rlvr.tiny.tokenizer import build_tokenizer
from rlvr.tiny.traces import Mixture, make_trace


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    ours = build_tokenizer()
    ours.save_pretrained(folder)
    Qwen2Config().save_pretrained(folder)
    return ours, AutoTokenizer.from_pretrained(folder)


def test_ids_and_text_survive(tokenizers):
    ours, loaded = tokenizers
    for question in make_split(64, 64).test:
        answer = f"\\boxed{{{chains(question.numbers)[question.target][0].text()}}}"
        text = f"<q>{question.text}<a>{answer}<eos>"
        ids = ours(text).input_ids
        assert loaded(text).input_ids == ids
        assert loaded.decode(ids) == text
        assert len(ids) <= 15 + 24


def test_every_number_is_one_token_and_so_is_the_newline(tokenizers):
    for tokenizer in tokenizers:
        for number in range(MAX_VALUE + 1):
            assert len(tokenizer(str(number)).input_ids) == 1
        assert len(tokenizer("\n").input_ids) == 1


def test_chat_template_and_prompt_template_agree(tokenizers):
    from rlvr.prompts import render

    _, loaded = tokenizers
    messages = [{"role": "user", "content": "1,2,3,4->10"}]
    chat = loaded.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert chat == render("countdown", "1,2,3,4->10")


def test_pretraining_reads_text_as_the_tokenizer_does(tokenizers):
    ours, loaded = tokenizers
    rng = random.Random(0)
    for question in make_split(64, 64).pretrain[::500]:
        text = f"<q>{question.text}<a>{make_trace(question, Mixture(careless=0.5), rng)}<eos>"
        assert token_ids(ours.get_vocab(), text) == loaded(text).input_ids


def test_only_answers_are_learnt(tokenizers):
    ours, _ = tokenizers
    questions = [question for question in make_split(64, 64).test if len(question.numbers) == SIZES[0]]
    input_ids, labels = encode(ours.get_vocab(), questions, Mixture(), random.Random(0))
    for question, ids, targets in zip(questions, input_ids, labels):
        learnt = targets != IGNORED
        assert ours.decode(ids[~learnt]).replace("<pad>", "") == f"<q>{question.text}<a>"
        assert targets[learnt].tolist() == ids[learnt].tolist()
        assert ours.decode(ids[learnt]).endswith("<eos>")
