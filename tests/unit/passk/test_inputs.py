"""Presets, flags, data sets and models: what is read before an engine starts."""

import json

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from passk import generate
from passk.generate import _named_models, _tuple, evaluate
from passk.models import ModelError, describe, resolve
from passk.presets import PRESETS, Sampling, sampling_of
from passk.questions import dataset_name, fingerprint, load_questions
from passk.sampling import ReplicaDied
from tests.conftest import SHARED
from tests.unit.passk.fake_engine import make_model, run


def test_presets_are_the_papers():
    assert PRESETS["qwen2.5-math"] == Sampling("qwen", 4096, 256, 0.6, 0.95, -1)
    assert PRESETS["llama"] == Sampling("llama", 4096, 256, 0.6, 0.95, -1)
    assert PRESETS["qwen3"] == Sampling("qwen3_no_thinking", 32768, 64, 0.7, 0.8, 20)
    assert sampling_of("qwen3", temperature=1.0, top_k=None) == Sampling("qwen3_no_thinking", 32768, 64, 1.0, 0.8, 20)


@pytest.mark.parametrize(
    "preset, flags, message",
    [
        ("qwen", {}, "choose one of qwen2.5-math, llama, smollm2, qwen3"),
        (None, {}, "--prompt_template_type and --max_tokens"),
        ("llama", {"temperature": 0.0}, "draws the same answer 256 times"),
        ("llama", {"top_p": 0.0}, "0 < top_p <= 1"),
        ("llama", {"num_generation": 0}, "at least 1"),
    ],
)
def test_bad_settings_are_refused(preset, flags, message):
    with pytest.raises(ValueError, match=message):
        sampling_of(preset, **flags)


def test_jsonl_layouts(tmp_path):
    path = tmp_path / "MATH-small.jsonl"
    rows = [
        {"problem": "p", "solution": "hence one", "answer": "1", "data_source": "own/x"},
        {"question": "q", "answer": 7},
        {"prompt": [{"content": "v"}], "reward_model": {"ground_truth": {"target": "3"}}, "data_source": "y"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    first, second, third = load_questions(str(path), "test", 1, {"y": "exact"})
    assert first.truth == {"question": "p", "target": "1"}  # whatever the file is called
    assert second.truth == {"question": "q", "target": "7"} and second.data_source == "own/MATH-small"
    assert (third.text, third.answer, third.data_source) == ("v", "3", "y")
    assert fingerprint([first, second]) != fingerprint([second, first])


@pytest.mark.parametrize(
    "folder, key, count", [("math", "solution", 5000), ("aime2025", "target", 30), ("amc23", "target", 40)]
)
def test_the_papers_parquet_files(folder, key, count):
    path = SHARED / "data" / folder / "test.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine")
    questions = load_questions(str(path), "test", 1)
    assert len(questions) == count
    assert all(question.truth.keys() == {"question", key} for question in questions)
    assert dataset_name(str(path), "test") == f"{folder}-test"


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "line 1: not JSON"),
        ("[1]", "item 1: is no question: it is int"),
        ('{"a": 1}', "line 1: misses a question .* and a gold answer"),
        ("", "is empty"),
    ],
)
def test_bad_data_sets_are_named(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_questions(str(path), "test", 1)
    with pytest.raises(ValueError, match="no such file"):
        load_questions(str(tmp_path / "b.parquet"), "test", 1)


def test_names_of_outputs_and_models():
    assert dataset_name("TianHongZXY/AIME2025", "test") == "AIME2025-test"
    assert _tuple("a/b,c/d") == _tuple(("a/b", "c/d")) == ("a/b", "c/d")
    assert _named_models("runs/a=b") == {"": "runs/a=b"}
    assert _named_models("base=x,nsr=runs/y") == {"base": "x", "nsr": "runs/y"}
    for wrong in ("x,y", "a=x,a=y"):
        with pytest.raises(ValueError, match="--model_name"):
            _named_models(wrong)


def test_unknown_data_sources_are_refused_before_the_engine_starts(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "q", "answer": "1", "data_source": "nobody/knows"}\n')
    with pytest.raises(SystemExit, match="no verifier for data source 'nobody/knows'"):
        evaluate("own/model", str(tmp_path / "a.jsonl"), str(tmp_path), preset="llama")


def test_no_question_left_is_said(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "q", "answer": "1"}\n')
    with pytest.raises(SystemExit, match=r"--resume_id 1: .*a\.jsonl has 1 questions, which leaves none"):
        evaluate(
            "own/model",
            str(tmp_path / "a.jsonl"),
            str(tmp_path),
            preset="llama",
            verifiers={"own/*": "math"},
            resume_id=1,
        )


def test_the_template_of_another_model_is_said(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"question": "1,2->3", "answer": "3", "data_source": "rlvr/countdown"}\n')
    make_model(tmp_path / "model")
    Tokenizer(BPE()).save(str(tmp_path / "model" / "tokenizer.json"))
    run(str(tmp_path / "a.jsonl"), tmp_path, 1)
    said = f"warning: prompt template countdown: <q>, <a> are no tokens of {tmp_path}/model: it is another model's template"
    assert said in capsys.readouterr().err.splitlines()


def test_when_no_replica_is_left_one_line_says_how_to_go_on(tmp_path, monkeypatch):
    def dies(*_, **__):
        raise ReplicaDied("no replica is left in the cluster")

    (tmp_path / "a.jsonl").write_text('{"question": "q", "answer": "1"}\n')
    monkeypatch.setattr(generate, "evaluate_model", dies)
    with pytest.raises(
        SystemExit, match="no replica is left in the cluster; what is stored stays, the same command goes"
    ):
        evaluate("own/model", str(tmp_path / "a.jsonl"), str(tmp_path), preset="llama", verifiers={"own/*": "math"})


def test_models(tmp_path):
    folder = make_model(tmp_path / "model")
    assert resolve(str(folder)) == str(folder)
    assert resolve("Qwen/Qwen2.5-Math-7B") == "Qwen/Qwen2.5-Math-7B"
    before = describe(str(folder))
    assert (before["weight_bytes"], before["attention_heads"]) == (7, 4)
    (folder / "model.safetensors").write_bytes(b"WEIGHTS")
    assert describe(str(folder))["fingerprint"] != before["fingerprint"]
    (tmp_path / "global_step_3" / "actor" / "huggingface").mkdir(parents=True)
    with pytest.raises(ModelError, match="no verl checkpoint"):
        resolve(str(tmp_path / "global_step_3"))
    make_model(tmp_path / "global_step_3" / "actor" / "huggingface")
    (tmp_path / "global_step_3" / "actor" / "fsdp_config.json").write_text("{}")
    assert resolve(str(tmp_path / "global_step_3")).endswith("global_step_3/actor/huggingface")


def test_a_model_that_is_not_there_is_said_before_a_data_set_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "load_questions", lambda *_: pytest.fail("a data set was fetched"))
    with pytest.raises(SystemExit, match="--model_name /no/model: no such folder"):
        evaluate("/no/model", "nobody/questions", str(tmp_path), preset="llama")
