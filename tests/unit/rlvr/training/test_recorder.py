"""Which samples of a run are kept, and what is known of them; TransferQueue is a dict. The real one is in tests/integration."""

import logging

import pytest
import torch

from rlvr.sample_files import path_of, question_id, read, sample_files
from rlvr.tiny.tokenizer import build_tokenizer
from rlvr.training import recorder as module
from rlvr.training.recorder import Recorder, is_due, own_decoder
from rlvr.training.sample_lines import Asked, as_asked, choose, text_of

MIXED, SOLVED = [1, 0, "cut"], [1, 1]


def decode(tokens) -> str:
    return " ".join(map(str, tokens.tolist()))


@pytest.fixture
def record(tmp_path):
    """``record(buffer, per_step)``: the buffer's recorder, which keeps every step."""

    def record(buffer, per_step="all", due=lambda step: True) -> Recorder:
        buffer.recorder = Recorder(tmp_path, per_step, decode, due)
        return buffer.recorder

    return record


def kept(tmp_path, step=1, split="train"):
    return read(path_of(tmp_path, split, step))


def id_of(question: str) -> str:
    return question_id("a source", [{"role": "user", "content": f"what is {question}?"}])


def test_a_step_of_nsr_with_what_it_dropped(make, record, tmp_path):
    buffer = make(("a", MIXED), ("b", SOLVED))
    recorder = record(buffer)
    batch, _ = buffer.sample(1, "train", 2)
    assert batch.keys == ["a_1_0", "a_2_0"]
    assert len(buffer.queue.rows) == 5, "what is dropped waits until it was read"
    recorder.read()
    recorder.finish(1)
    assert set(buffer.queue.rows) == set(batch.keys)
    recorder.close()

    found = {(one.question, one.answer, one.kind): one for one in kept(tmp_path)}
    assert len(found) == 4 and len(kept(tmp_path)) == 5, "both right answers to b are the same"
    right, wrong = found["what is a?", "1 9", None], found["what is a?", "1 9", "wrong"]
    cut = found["what is a?", "1 1 1 1", "truncated"]
    assert (right.correct, right.kept, right.advantage, right.finish_reason, right.tokens) == (
        True,
        False,
        0,
        "stop",
        2,
    )
    assert (wrong.correct, wrong.kept, wrong.advantage, wrong.finish_reason, wrong.tokens) == (
        False,
        True,
        -1,
        "stop",
        2,
    )
    assert (cut.kept, cut.advantage, cut.finish_reason, cut.tokens) == (True, -1, "length", 4)
    assert {one.gold for one in kept(tmp_path)} == {"gold a", "gold b"}
    assert {(one.question, one.question_id) for one in kept(tmp_path)} == {
        ("what is a?", id_of("a")),
        ("what is b?", id_of("b")),
    }
    assert right.log_prob is right.entropy is right.extracted is right.layer is None, "nobody computed or said them"


@pytest.mark.parametrize("order", ["abcde", "edcba"])
def test_whole_groups_of_the_same_questions_whatever_finished_first(make, record, tmp_path, order):
    buffer = make(*((name, MIXED) for name in order))
    recorder = record(buffer, 2)
    batch, _ = buffer.sample(1, "train", 5)
    recorder.read()
    recorder.finish(1)
    recorder.close()
    assert set(buffer.queue.rows) == set(batch.keys), "also those that are in no file have left the queue"
    chosen = sorted(map(id_of, order))[:2]
    assert [one.question_id for one in kept(tmp_path)] == [chosen[0]] * 3 + [chosen[1]] * 3


def test_what_the_step_computed(make, record, tmp_path):
    """Of GRPO: advantages of every token, log-probs and entropies of kept samples; what the rollouts said comes first."""
    buffer = make(("a", [1, 0, "grader_failed"]), adv_estimator="grpo")
    recorder = record(buffer)
    buffer.sample(1, "train", 1)
    rows = buffer.queue.rows
    rows["a_0_0"] |= {"advantages": torch.tensor([0.5, 1.0]), "entropy": torch.tensor([0.25, 0.75])}
    rows["a_1_0"] |= {"advantages": torch.tensor([-1.0, -1.0]), "entropy": torch.tensor([1.0, 3.0])}
    rows["a_0_0"]["old_log_probs"] = torch.tensor([-1.0, -3.0])
    rows["a_1_0"]["old_log_probs"] = torch.full((2,), torch.nan)  # the mark of a step with one update
    recorder.read()
    recorder.finish(1)
    recorder.close()
    right, wrong, failed = kept(tmp_path)
    assert (right.advantage, right.log_prob, right.entropy) == (0.75, -2.0, 0.5)
    assert (wrong.advantage, wrong.log_prob, wrong.entropy) == (-1.0, None, 2.0)
    assert (failed.kept, failed.kind, failed.advantage, failed.entropy) == (False, "grader_failed", None, None)


def test_log_probs_of_the_rollouts_are_those_of_all_samples(make, record, tmp_path):
    buffer = make(("a", [1, 0]))
    recorder = record(buffer)
    buffer.sample(1, "train", 1)
    for number, row in enumerate(buffer.queue.rows.values()):
        row |= {"rollout_log_probs": torch.tensor([-1.0, -2.0 - number]), "old_log_probs": torch.tensor([-9.0, -9.0])}
    recorder.read()
    recorder.finish(1)
    recorder.close()
    assert [one.log_prob for one in kept(tmp_path)] == [-1.5, -2.0]


def test_a_step_that_is_skipped(make, record, tmp_path):
    buffer = make(("a", SOLVED))
    recorder = record(buffer)
    batch, _ = buffer.sample(1, "train", 1)
    recorder.read()
    recorder.finish(1)
    recorder.close()
    assert set(buffer.queue.rows) == set(batch.keys)
    assert [(one.correct, one.kept) for one in kept(tmp_path)] == [(True, False)] * 2


def test_questions_that_dynamic_sampling_left_out(make, record, tmp_path):
    buffer = make(
        ("a", [1, 0]), ("b", SOLVED), ("c", [1, 0]), ("d", SOLVED),
        filter_groups={"enable": True, "max_num_gen_batches": 10}, advantage="rloo",
    )  # fmt: skip
    recorder = record(buffer)
    batch, _ = buffer.sample(1, "train", 2)
    recorder.read()
    recorder.finish(1)
    recorder.close()
    assert set(buffer.queue.rows) == set(batch.keys)
    found = {(one.question[8], one.kept, one.advantage) for one in kept(tmp_path)}
    assert found == {
        ("a", True, 1),
        ("a", True, -1),
        ("c", True, 1),
        ("c", True, -1),
        ("b", False, None),
        ("d", False, None),
    }


def test_steps_that_are_not_kept_are_cleared_at_once(make, record, tmp_path):
    buffer = make(("a", MIXED))
    recorder = record(buffer, 64, due=lambda step: False)
    batch, _ = buffer.sample(1, "train", 1)
    assert set(buffer.queue.rows) == set(batch.keys)
    recorder.read()
    recorder.finish(1)
    recorder.close()
    assert sample_files(tmp_path) == []


@pytest.mark.parametrize(
    ("per_step", "test_freq", "due"),
    [(64, 4, [1, 4, 8, 10]), (64, -1, [1, 10]), (64, 0, [1, 10]), (0, 4, []), ("all", 4, list(range(1, 11)))],
)
def test_which_steps_are_kept(per_step, test_freq, due):
    assert [step for step in range(1, 11) if is_due(step, per_step, test_freq, last_step=10)] == due


@pytest.mark.parametrize("broken", ["writing", "reading"])
def test_a_file_that_cannot_be_written_is_loud_and_training_goes_on(
    make, record, tmp_path, monkeypatch, caplog, broken
):
    buffer = make(("a", MIXED), ("a", MIXED))
    recorder = record(buffer)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        if broken == "writing":
            patch.setattr(module, "write", full)
        else:
            patch.setattr("rlvr.training.sample_lines.read_questions", full)
        batch, _ = buffer.sample(1, "train", 1)
        recorder.read()
        recorder.finish(1)
        recorder.settle()
    assert set(buffer.queue.rows) == set(batch.keys)
    assert recorder.lost == 1
    (line,) = [one.getMessage() for one in caplog.records]
    assert line.startswith("step 1: its samples are not in a file, training goes on without it: OSError:")
    buffer.queue.rows.clear()
    buffer.sample(2, "train", 1)
    recorder.read()
    recorder.finish(2)
    recorder.close()
    assert recorder.lost == 1
    assert [(file.split, file.step) for file in sample_files(tmp_path)] == [("train", 2)]


@pytest.mark.parametrize(("per_step", "questions"), [("all", 5), (3, 3), (0, 0)])
def test_validation_keeps_as_many_questions_over_all_its_batches(make, record, tmp_path, per_step, questions):
    buffer = make(*((name, [1, "no_answer"]) for name in "abcde"))
    recorder = record(buffer, per_step)
    for size in (2, 3):
        batch, _ = buffer.sample(4, "val", size)
        for key in batch.keys:
            del buffer.queue.rows[key]  # as upstream, at once
    recorder.finish_validation(4)
    recorder.close()
    found = kept(tmp_path, 4, "validation") if questions else []
    assert list(dict.fromkeys(one.question_id for one in found)) == sorted(map(id_of, "abcde"))[:questions]
    assert [one.kind for one in found] == [None, "no_answer"] * questions
    assert not any(one.kept for one in found)
    assert {(one.step, one.split, one.advantage) for one in found} <= {(4, "validation", None)}
    assert not sample_files(tmp_path) or questions


def test_validation_may_have_rewards_of_its_own(make, record, tmp_path):
    buffer = make(("a", [0.5, 1]))
    recorder = record(buffer)
    buffer.sample(0, "val", 1)
    recorder.finish_validation(0)
    recorder.close()
    assert [one.kind for one in kept(tmp_path, 0, "validation")] == ["wrong", None]


def test_what_the_reward_function_said(make, record, tmp_path):
    buffer = make(("a", [0, 1]))
    recorder = record(buffer)
    buffer.sample(1, "train", 1)
    said = buffer.queue.rows["a_0_0"]["extra_fields"].data["reward_extra_info"]
    said |= {"pred": 7, "layer": "numeric"}
    recorder.read()
    recorder.finish(1)
    recorder.close()
    assert [(one.extracted, one.layer) for one in kept(tmp_path)] == [("7", "numeric"), (None, None)]


def test_questions_and_golds_as_text():
    several = as_asked(
        [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "d", {"ground_truth": ["1", "2"]}
    )
    assert (several.question, several.gold) == ("q", '["1", "2"]')
    assert as_asked([{"role": "user", "content": "q"}], "d", {"ground_truth": None}).gold == ""
    assert text_of({"content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]}) == "[image]what is it?"
    asked = {"u": Asked("2", "", ""), "v": Asked("1", "", ""), "w": Asked("1", "", "")}
    assert choose(asked, None) == ["v", "w", "u"] and choose(asked, 1) == ["v"]


def test_texts_are_made_with_a_tokenizer_of_its_own():
    tokenizer = build_tokenizer()
    ids = tokenizer("1+1=2").input_ids
    own = own_decoder(tokenizer)
    assert own(torch.tensor([*ids, tokenizer.eos_token_id])) == "1+1=2"
    assert own.__closure__[0].cell_contents is not tokenizer
