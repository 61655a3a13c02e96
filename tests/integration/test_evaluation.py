"""The evaluation on the tiny model with real vLLM: killed in the middle, continued, graded, reported. And a merged checkpoint."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from passk.models import ModelError, check, resolve
from passk.storage import read_lines
from passk.tally import tally
from tests.conftest import ROOT

QUESTIONS, SAMPLES = 512, 8  # four times what the engine works on at once: a kill after the first falls in the middle
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "VERL_PLATFORM"}


def command(model: Path, output: Path, *more: str) -> list[str]:
    """``eval.sh`` with what a tiny model needs; later flags win."""
    flags = [
        "--prompt_template_type=countdown",
        f"--num_generation={SAMPLES}",
        f"--limit={QUESTIONS}",
        "--max_tokens=40",
    ]
    flags += [f"--datasets={model.parent / 'test.parquet'}", "--temperature=1.0", "--batch_size=4"]
    return ["bash", str(ROOT / "eval.sh"), f"--model_name={model}", f"--output_dir={output}", *flags, *more]


def test_killed_continued_and_reported(tiny, tmp_path):
    environment = ENVIRONMENT | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    path = tmp_path / f"{tiny.name}-test.jsonl"
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command(tiny / "model", tmp_path), cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        while process.poll() is None and not (path.exists() and path.stat().st_size):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    stored = {line["question_id"] for line in read_lines(path)}
    assert process.returncode == -signal.SIGKILL, (tmp_path / "log.txt").read_text()[-4000:]
    assert 0 < len(stored) < QUESTIONS

    refused = subprocess.run(
        command(tiny / "model", tmp_path, "--temperature=0.5"),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1 and "temperature: stored 1.0, now 0.5" in refused.stderr

    goes_on = command(tiny / "model", tmp_path)
    said = subprocess.run(goes_on, cwd=ROOT, env=environment, check=True, text=True, stdout=PIPE, stderr=STDOUT).stdout
    bar = said[said.index("evaluating:") :].replace("\r", "\n").splitlines()
    assert all(line.startswith(("evaluating:", str(path))) for line in filter(None, bar)), (
        "nothing cuts through the bar"
    )
    assert json.loads(path.with_suffix(".manifest.json").read_text())["settings"]["dtype"] == "float32"
    samples = list(read_lines(path))
    assert sorted((one["question_id"], one["generation_id"]) for one in samples) == [
        (question, generation) for question in range(QUESTIONS) for generation in range(SAMPLES)
    ]
    assert all(one["prompt"] == f"<q>{one['question']}<a>" and one["response"] and one["tokens"] > 0 for one in samples)
    assert len({one["response"] for one in samples if one["question_id"] == 0}) > 1
    assert tally(path).problems == []
    starts = json.loads(path.with_suffix(".manifest.json").read_text())["starts"]
    assert [start["questions_before"] > 0 for start in starts] == [False, True]
    report = [sys.executable, "-m", "passk.report", "--file_path", str(path), "--output_dir", str(tmp_path / "report")]
    subprocess.run(report, cwd=ROOT, check=True)
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="no such Hugging Face model folder"):
        resolve(str(tmp_path))
    with pytest.raises(ModelError, match="no such folder"):
        resolve(str(tmp_path / "nothing"))


@pytest.fixture(scope="module")
def checkpoint(tiny, tmp_path_factory) -> Path:
    """What the trainer saves when it saves shards only: one FSDP shard, configuration and tokenizer."""
    import torch
    from safetensors.torch import load_file

    step = tmp_path_factory.mktemp("run") / "global_step_2"
    folder = step / "actor" / "huggingface"
    folder.mkdir(parents=True)
    for file in (tiny / "model").iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(tiny / "model" / "model.safetensors"), step / "actor" / "model_world_size_1_rank_0.pt")
    (step / "actor" / "fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 1}')
    return step


def test_a_sharded_checkpoint_is_merged_once(checkpoint, tiny):
    from safetensors.torch import load_file

    merged = Path(resolve(str(checkpoint)))
    assert merged == checkpoint / "actor" / "merged"
    check(merged)
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny / "model", merged))
    assert before.keys() == after.keys()
    assert all((before[name] - after[name]).abs().max() < 0.01 for name in before)
    stamp = (merged / "model.safetensors").stat().st_mtime_ns
    assert resolve(str(checkpoint)) == str(merged) and (merged / "model.safetensors").stat().st_mtime_ns == stamp


def test_a_broken_merge_is_refused(checkpoint, tiny, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    for file in (tiny / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    first, second, third, *_ = tensors
    tensors[first][0] = float("nan")
    tensors[second] = torch.zeros(3)
    del tensors[third]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError) as error:
        check(tmp_path)
    for message in (f"{first} is not finite", f"{second} has shape (3,)", f"{third} is missing"):
        assert message in str(error.value)
