"""The files of samples that a run keeps."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.incorrect import KINDS
from rlvr.records import DataError
from rlvr.sample_files import (
    FOLDER,
    SPLITS,
    Sample,
    path_of,
    question_id,
    read,
    remove_after,
    sample_files,
    write,
)

TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # halves of surrogate pairs too
NUMBER = st.none() | st.floats()


def sample(**fields) -> Sample:
    given = {"step": 1, "split": "train", "question_id": "q", "group": "g", "question": "1+1?", "answer": "it is 3"}
    given |= {"extracted": "3", "gold": "2", "correct": False, "layer": "numeric", "kind": "wrong", "kept": True}
    given |= {"advantage": -1.0, "tokens": 3, "finish_reason": "stop", "log_prob": None, "entropy": None}
    return Sample(**(given | fields))


@st.composite
def samples(draw) -> Sample:
    kind = draw(st.none() | st.sampled_from(KINDS))
    texts = {name: draw(TEXT) for name in ("question_id", "group", "question", "answer", "gold")}
    numbers = {name: draw(NUMBER) for name in ("advantage", "log_prob", "entropy")}
    return sample(
        step=draw(st.integers(0, 10**9)),
        split=draw(st.sampled_from(SPLITS)),
        kind=kind,
        correct=kind is None,
        extracted=draw(st.none() | TEXT),
        layer=draw(st.none() | TEXT),
        kept=draw(st.booleans()),
        tokens=draw(st.integers(0, 10**9)),
        finish_reason=draw(st.sampled_from(["stop", "length"])),
        **texts,
        **numbers,
    )


def as_written(value):
    """What a file can hold: no half of a surrogate pair, no number that is none."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(st.lists(samples(), min_size=1, max_size=4))
def test_what_is_written_is_read(tmp_path_factory, wanted):
    run = tmp_path_factory.mktemp("run")
    path = write(run, "train", 7, wanted)
    assert path == run / FOLDER / "train_000007.jsonl"
    assert [msgspec.structs.asdict(one) for one in read(path)] == [
        {name: as_written(value) for name, value in msgspec.structs.asdict(one).items()} for one in wanted
    ]
    assert len(path.read_bytes().splitlines()) == len(wanted)  # a line break in a text ends no line


def test_files_by_step(tmp_path):
    for split, step in [("validation", 0), ("train", 1), ("train", 10), ("validation", 10), ("train", 1_000_000)]:
        write(tmp_path, split, step, [sample(step=step, split=split)])
    (tmp_path / FOLDER / "notes.txt").write_text("no samples")
    found = sample_files(tmp_path)
    assert [(file.split, file.step) for file in found] == [
        ("validation", 0), ("train", 1), ("train", 10), ("validation", 10), ("train", 1_000_000),
    ]  # fmt: skip
    assert all(file.path == path_of(tmp_path, file.split, file.step) for file in found)
    assert [file.read()[0].step for file in found] == [file.step for file in found]
    assert sample_files(tmp_path / "no run") == []


def test_a_step_that_is_done_again_is_there_once(tmp_path):
    write(tmp_path, "train", 3, [sample(answer="first"), sample(answer="second")])
    write(tmp_path, "train", 3, [sample(answer="third")])
    assert [one.answer for one in read(path_of(tmp_path, "train", 3))] == ["third"]


def test_steps_after_the_one_resumed_from_are_removed(tmp_path):
    for step in (0, 2, 4):
        write(tmp_path, "validation", step, [sample(step=step, split="validation")])
    write(tmp_path, "train", 3, [sample(step=3)])
    left = path_of(tmp_path, "train", 2).with_name("train_000002.jsonl.unfinished")
    left.write_text("half a li")
    removed = remove_after(tmp_path, 2)
    assert [path.name for path in removed] == ["train_000003.jsonl", "validation_000004.jsonl", left.name]
    assert [(file.split, file.step) for file in sample_files(tmp_path)] == [("validation", 0), ("validation", 2)]
    assert not left.exists()
    assert remove_after(tmp_path / "no run", 0) == []


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write(tmp_path, "train", 1, [sample(answer="old")])

    def breaks():
        yield sample(answer="new")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, "train", 1, breaks())
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["train_000001.jsonl"]
    assert read(path_of(tmp_path, "train", 1))[0].answer == "old"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": None}, "correct is False, kind is None"),
        ({"correct": True}, "correct is True, kind is wrong"),
        ({"kind": "odd"}, "kind is odd: it must be one of wrong,"),
        ({"split": "test"}, "split"),
        ({"tokens": "3"}, "tokens"),
    ],
)
def test_what_is_no_sample_is_named_with_its_line(tmp_path, fields, said):
    path = write(tmp_path, "train", 1, [sample()])
    good = json.loads(path.read_bytes())
    path.write_text(f"{json.dumps(good)}\n{json.dumps(good | fields)}\n")
    with pytest.raises(DataError, match=said) as raised:
        read(path)
    assert f"{path}, line 2" in str(raised.value)


def test_a_question_has_one_id():
    asked = [{"role": "user", "content": "1+1?"}]
    assert question_id("math", asked) == question_id("math", [{"content": "1+1?", "role": "user"}])
    assert len(question_id("math", asked)) == 16
    others = [("other", asked), ("math", [*asked, *asked]), ("math", [{"role": "user", "content": "1+2?"}])]
    assert question_id("math", asked) not in {question_id(*other) for other in others}
