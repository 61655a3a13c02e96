"""An exported folder is complete, loads, and says what it is; what is broken is not exported."""

import hashlib
import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from passk import export
from passk.models import ModelError
from rlvr.tiny.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    """A model of a few thousand parameters with its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = Qwen2Config(vocab_size=len(tokenizer), num_attention_heads=2, num_key_value_heads=2, **sizes)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def run(tmp_path, hugging_face):
    """What a run leaves: global_step_6 and global_step_7, of which the tracker names the second."""
    folder = tmp_path / "runs" / "mine"
    for step in (6, 7):
        shutil.copytree(hugging_face, folder / f"global_step_{step}" / "actor" / "huggingface")
    (folder / "latest_checkpointed_iteration.txt").write_text("7")
    (folder / "config.yaml").write_text(
        "actor_rollout_ref: {model: {path: Qwen/Base}}\nalgorithm: {adv_estimator: psr_nsr, advantage: negative}\n"
    )
    return folder


@pytest.mark.parametrize(("given", "step"), [("", 7), ("global_step_6", 6)])
def test_the_export_loads_and_says_what_it_is(run, tmp_path, given, step):
    output = tmp_path / "exported"
    assert export.main([str(run / given), str(output)]) == 0
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["step"] == step and manifest["base_model"] == "Qwen/Base"
    assert manifest["algorithm"] == {"adv_estimator": "psr_nsr", "advantage": "negative"}
    assert manifest["source"] == str(run / f"global_step_{step}" / "actor" / "huggingface")
    assert manifest["versions"]["verl"] == "0.9.1"
    model = AutoModelForCausalLM.from_pretrained(output)
    assert manifest["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    files = {path.name for path in output.iterdir()} - {"manifest.json"}
    assert set(manifest["files"]) == files and "model.safetensors" in files
    for name, said in manifest["files"].items():
        content = (output / name).read_bytes()
        assert said == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_it_does_not_overwrite(run, tmp_path, capsys):
    output = tmp_path / "exported"
    output.mkdir()
    assert export.main([str(run), str(output)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert not list(output.iterdir())


def test_what_is_no_checkpoint_is_refused(tmp_path, capsys, hugging_face):
    assert export.main([str(hugging_face), str(tmp_path / "exported")]) == 1
    assert "expected a checkpoint" in capsys.readouterr().err


def test_broken_weights_are_not_exported(run, tmp_path):
    weights = run / "global_step_7" / "actor" / "huggingface"
    model = AutoModelForCausalLM.from_pretrained(weights)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    model.save_pretrained(weights)
    with pytest.raises(ModelError, match=r"norm\.weight is not finite"):
        export.export(run, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_where_nothing_can_be_written_is_said_at_once(run, capsys):
    assert export.main([str(run), "/proc/exported"]) == 1
    assert capsys.readouterr().err.startswith("export error: /proc: cannot be written to")


def test_an_interrupted_export_starts_anew(run, tmp_path):
    unfinished = tmp_path / "exported.unfinished"
    unfinished.mkdir()
    (unfinished / "old.safetensors").write_text("half")
    export.export(run, tmp_path / "exported")
    assert not unfinished.exists() and not (tmp_path / "exported" / "old.safetensors").exists()
