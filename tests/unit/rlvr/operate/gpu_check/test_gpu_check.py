"""The parts of gpu_check that decide: what passes, what a stopped step leaves, memory by phase. At work: tests/integration."""

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvr.cluster import nvidia_smi
from rlvr.operate import gpu_check
from rlvr.operate.gpu_check import Check, Context, Shape, above, below, materials, memory, reload, runs, training
from rlvr.operate.gpu_check import __main__ as command
from rlvr.operate.gpu_check.steps import STEPS

GIB = 2**30


def test_a_number_that_is_none_passes_nothing():
    assert below("x", 0.5, 1).passed and not below("x", 2, 1).passed and not below("x", math.nan, 1).passed
    assert above("x", 2, 1).passed and not above("x", 0.5, 1).passed and not above("x", math.nan, 1).passed


def test_a_step_that_takes_too_long_is_stopped_and_the_next_one_runs(tmp_path, capsys):
    """Both are given next to no time; the exit code and the file say so."""
    words = [
        "--device=cpu",
        "--steps=kernels,evaluation",
        "--limit=0.0001",
        f"--output={tmp_path}",
        f"--json={tmp_path}/out.json",
    ]
    assert command.main(words) == 1
    found = json.loads((tmp_path / "out.json").read_text())
    assert [step["name"] for step in found["steps"]] == ["kernels", "evaluation"]
    for step in found["steps"]:
        assert not step["passed"] and "not within" in step["checks"][-1]["value"]
    assert "not kernels, evaluation" in capsys.readouterr().out


def test_what_a_step_raises_is_a_check_that_failed(tmp_path, capsys, monkeypatch):
    from rlvr.operate.gpu_check import kernels, steps

    def broken(context):
        yield Check("first", True)
        raise RuntimeError("no such\nkernel")

    monkeypatch.setattr(kernels, "run", broken)
    steps.run("kernels", Context("cpu", 1, tmp_path))
    lines = [json.loads(line.removeprefix(steps.MARK)) for line in capsys.readouterr().out.splitlines()]
    assert [line["passed"] for line in lines] == [True, False]
    assert lines[1]["value"] == "RuntimeError: no such kernel"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device=cpu", "--steps=nothing"], "--steps nothing: choose from environment"),
        (["--gpus=3"], "--gpus 3"),
        (["--device=cpu", "--json=/proc/found.json"], "/proc: cannot be written to"),
        ([], "nvidia-smi lists 0 GPUs here: --device cpu"),
    ],
)
def test_bad_words_are_one_line(words, said, capsys, monkeypatch):
    monkeypatch.setattr(command, "listed", tuple)
    assert command.main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_a_gpu_has_time_for_everything_in_25_minutes():
    assert sum(step.minutes for step in STEPS) <= 25


@pytest.mark.parametrize("vocabulary", [300, 5000])
def test_the_tokenizer_fills_the_vocabulary(vocabulary, tmp_path):
    """Also after qwen2's class has read it; a newline is one token, and what is written comes back."""
    from transformers import AutoTokenizer

    materials.model_config(Shape(64, 1, 64, 2, 1, vocabulary)).save_pretrained(tmp_path)
    materials.tokenizer(vocabulary).save_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    assert len(read) == vocabulary
    assert len(read.encode("\n", add_special_tokens=False)) == 1
    assert read.decode(read.encode("1 + 2 = é\n", add_special_tokens=False)) == "1 + 2 = é\n"
    assert read.eos_token_id == 1 and read.pad_token_id == 0
    assert isinstance(read.decode([vocabulary - 1]), str)


def test_answers_end_now_and_then():
    """The end token is likely in some contexts and not in others."""
    model = materials.random_model(gpu_check.TINY, "cpu")
    logits = model(input_ids=torch.randint(2, 320, (1, 400))).logits[0]
    ends = logits.softmax(-1)[:, 1]
    assert 0.002 < ends.mean() < 0.2 and ends.max() > 0.2


@given(st.text(max_size=20))
def test_the_reward_is_the_same_for_the_same_answer(text):
    one, other = (materials.compute_score("x", text, "") for _ in range(2))
    assert one == other and one["score"] in (0.0, 1.0)


def test_memory_by_phase(tmp_path):
    """Above what was in use before, on the fullest GPU; a phase within another counts as itself."""
    samples = [
        ("start of workers and rollout servers", [GIB, 2 * GIB], 1),
        ("rollout and reward", [11 * GIB, 7 * GIB], 5),
        ("actor update", [31 * GIB, 42 * GIB], 9),
        ("step > old log-prob", [4 * GIB, 2 * GIB], 3),
        ("actor update", [30 * GIB, 20 * GIB], 4),
    ]
    lines = [json.dumps({"phase": phase, "gpu": used, "main": main * GIB}) for phase, used, main in samples]
    (tmp_path / "memory.jsonl").write_text("\n".join(lines) + "\n")
    found, main = memory.peaks(tmp_path / "memory.jsonl")
    assert found == {"rollout": 10, "actor update": 40, "log-probs": 3}
    assert main == 9


def test_an_estimate_below_the_measurement_is_red(tmp_path):
    words = ["--config-name=psr_nsr", "base_model=qwen2.5-math-7b", "machine=gpu80", "trainer.experiment_name=x"]
    highest = memory.estimate(words).peak("actor update")
    for share, passed in ((0.9, True), (1.1, False)):
        lines = [("start", 0), ("actor update", share * highest)]
        records = [json.dumps({"phase": phase, "gpu": [int(used)], "main": 0}) for phase, used in lines]
        (tmp_path / "memory.jsonl").write_text("\n".join(records))
        checks = {check.what: check for check in memory.compare(words, tmp_path / "memory.jsonl")}
        assert checks["actor update, measured ÷ estimated"].passed is passed


def test_the_large_shape_is_as_deep_as_main_memory_allows():
    """177 GB for all of a 7B model; a machine of 128 GB gets fewer layers, and a small one still has one."""
    large = gpu_check.ON_GPU.large
    assert training.in_main_memory(large.shape) / 1e9 == pytest.approx(176.7, abs=0.1)
    assert training.fitting(large, 256 * GIB) == large
    fewer = training.fitting(large, 128 * GIB).shape
    assert 1 < fewer.layers < 28 and training.in_main_memory(fewer) <= 0.8 * 128 * GIB
    assert training.in_main_memory(replace(fewer, layers=fewer.layers + 1)) > 0.8 * 128 * GIB
    assert training.fitting(large, 1).shape.layers == 1


def test_a_card_gets_the_configuration_of_its_memory(monkeypatch, tmp_path):
    for mib, name in ((143771, "gpu141"), (81559, "gpu80"), (46068, "gpu48"), (23034, "gpu24")):
        monkeypatch.setattr(
            runs.nvidia_smi, "ask", lambda mib=mib: nvidia_smi.Driver((nvidia_smi.Gpu(0, "x", mib, 0, "580"),))
        )
        assert runs.machine_of(Context("cuda", 1, tmp_path)) == name
    assert runs.machine_of(Context("cpu", 1, tmp_path)) == "cpu"


def test_states_are_compared_to_the_last_byte():
    state = {"a": [torch.ones(2), {"b": 1}], "step": torch.tensor(3.0)}
    assert reload.different(state, {"a": [torch.ones(2), {"b": 1}], "step": torch.tensor(3.0)}) == []
    assert reload.different(state, {"a": [torch.ones(2), {"b": 2}], "step": torch.tensor(3.0)}) == ["a[1].b"]
    other = {"a": [torch.tensor([1.0, 1.0000001]), {"b": 1}], "step": torch.tensor(3.0)}
    assert reload.different(state, other) == ["a[0]"]
    assert reload.different(torch.ones(1), torch.ones(1).bfloat16(), "x") == ["x"]
    assert reload.different(state, {"a": []}, "state") == ["state"]
