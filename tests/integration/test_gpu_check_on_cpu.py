"""``scripts/gpu_check --device cpu``: the same steps with tiny sizes, on the real engine."""

import json
import subprocess

import pytest

from tests.conftest import ROOT

STEPS = "environment,kernels,train"


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("gpu_check")
    command = [
        "scripts/gpu_check",
        "--device",
        "cpu",
        "--steps",
        STEPS,
        "--output",
        folder,
        "--json",
        folder / "out.json",
    ]
    result = subprocess.run([*map(str, command), "--limit", "4"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    return json.loads((folder / "out.json").read_text())


def checks(found: dict, step: str) -> dict[str, dict]:
    (one,) = [one for one in found["steps"] if one["name"] == step]
    return {check["what"]: check for check in one["checks"]}


def test_every_step_passes_and_says_of_what(found):
    assert [step["name"] for step in found["steps"]] == STEPS.split(",")
    assert all(step["passed"] for step in found["steps"])
    assert found["device"] == "cpu" and found["machine"]["verl"] == "0.9.1"


def test_the_kernels_agree(found):
    """Three kinds of model, two ways to pack, ours and verl's log-probs, vLLM's."""
    lines = checks(found, "kernels")
    for model in ("qwen2", "qwen3", "llama"):
        for way in ("packed_sdpa", "sdpa"):
            assert lines[f"{model}, {way} packed, mean difference of log-probs"]["value"] < 1e-4
    assert lines["by chunks, gradient of the output embedding"]["passed"]
    assert lines["verl's fused kernel, gradient of the states"]["passed"]
    assert lines["vLLM, mean difference of log-probs"]["passed"]


def test_the_weights_arrive(found):
    """At a learning rate at which the next step would show weights that did not."""
    lines = checks(found, "train")
    for step in (1, 2, 3):
        assert lines[f"psr_nsr, step {step}, difference of probabilities"]["value"] < 0.01
    assert lines["main memory, GiB"]["value"] > 0.5, "the recorder saw the run's processes"
