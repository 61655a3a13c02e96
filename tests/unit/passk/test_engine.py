"""What the engine chooses by itself on a CPU; the engine at work is in tests/integration/test_evaluation.py."""

import sys
from types import SimpleNamespace

import pytest
import torch

from passk import engine, generate
from passk.engine import EngineSettings, precision, use_allowed_cores
from passk.presets import Sampling
from rlvr import machine
from tests.unit.passk.fake_engine import FakeEngine, make_model


@pytest.mark.parametrize(
    ("gpu", "asked", "taken"),
    [(False, "auto", "float32"), (False, "bfloat16", "bfloat16"), (True, "auto", "auto"), (True, "float16", "float16")],
)
def test_a_cpu_computes_in_float32(gpu, asked, taken):
    assert precision(asked, gpu) == taken


def test_there_is_a_thread_for_each_core_that_may_be_used(monkeypatch):
    set_to = []
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "cores", lambda: 6)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    use_allowed_cores()
    assert set_to == [6]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    use_allowed_cores()
    assert set_to == [6], "what the user has set is left alone"


@pytest.mark.parametrize(
    ("vocabulary", "answers"), [(60, 1024), (16_384, 512), (49_152, 256), (152_064, 256), (None, 256)]
)
def test_a_small_vocabulary_lets_a_cpu_work_on_more_answers(tmp_path, vocabulary, answers):
    if vocabulary:
        (tmp_path / "config.json").write_text(f'{{"vocab_size": {vocabulary}}}')
    assert engine.answers_at_once(tmp_path) == answers


def test_the_memory_flag_reaches_the_engine(monkeypatch, tmp_path):
    asked: list[EngineSettings] = []

    def make_engine(settings: EngineSettings) -> FakeEngine:
        asked.append(settings)
        return FakeEngine(settings)

    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"problem": "1,2->3", "answer": "3", "data_source": "own/test"}\n')
    task = generate.Task(str(questions), tmp_path / "out.jsonl", generate.load_questions(str(questions), "test", 1))
    sampling = Sampling("countdown", 16, num_generation=1, temperature=1.0)
    model = str(make_model(tmp_path / "model"))
    for gib in (None, 0.5):
        arguments = {"limit": None, "num_gpus": 1, "batch_size": 8, "kv_cache_gib": gib, "make_engine": make_engine}
        generate.evaluate_model(model, [task], sampling, "auto", 0, **arguments)
        task.path.unlink()
    assert [one.kv_cache_gib for one in asked] == [None, 0.5]


def test_vllm_for_a_gpu_where_there_is_none_is_one_line(monkeypatch):
    for name, parts in {
        "vllm": {"LLM": None, "SamplingParams": None},
        "vllm.platforms": {"current_platform": SimpleNamespace(device_type="")},
        "vllm.sampling_params": {"RequestOutputKind": None},
    }.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**parts))
    with pytest.raises(ValueError, match="has vLLM for a GPU, and this machine has none"):
        engine.VllmEngine(EngineSettings("model", "float32", Sampling("countdown", 16), seed=0))


def test_an_aborted_request_is_no_answer():
    """Whatever vLLM had by then."""
    stopped = SimpleNamespace(index=0, text="12", token_ids=[1], finish_reason="abort")
    output = SimpleNamespace(finished=True, outputs=[stopped], request_id="0")
    started = object.__new__(engine.VllmEngine)
    started._engine, started._keys = SimpleNamespace(step=lambda: [output]), {"0": "key"}
    with pytest.raises(RuntimeError, match="aborted"):
        started.step()
    stopped.finish_reason = "stop"
    (answers,) = started.step()
    assert answers.generations[0].text == "12"
