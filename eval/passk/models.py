"""What ``--model_name`` may name: a Hugging Face folder, a hub id, or a verl checkpoint, which is merged when it has to be.

A checkpoint's ``actor/huggingface`` folder is used as it is when it has weights; otherwise verl's own merger makes
``actor/merged``, which gets that name only after every tensor was compared with the model's own names and shapes and found
finite. Deliberately left out: Megatron checkpoints.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rlvr.hub import may_be_hub_id

READ_AT_EACH_END = 1 << 16  # bytes of a weight file that its fingerprint looks at


class ModelError(ValueError):
    """The model cannot be used; says why and what would help."""


def resolve(model_name: str) -> str:
    """The folder (or hub id) to load, merged from a verl checkpoint when necessary.

    Raises:
        ModelError: if there is no such model, or the merged one is broken.
    """
    check_name(model_name)
    path = Path(model_name)
    if not path.exists():
        return model_name  # a hub id; vLLM fetches it
    if _weights(path) and (path / "config.json").is_file():
        return str(path)
    actor = path if (path / "fsdp_config.json").is_file() else path / "actor"
    if not list(actor.glob("model_world_size_*_rank_*.pt")) and not _weights(actor / "huggingface"):
        raise ModelError(
            f"--model_name {model_name}: no such Hugging Face model folder (config.json and *.safetensors), and no verl checkpoint "
            "(actor/model_world_size_*.pt) either"
        )
    for folder in (actor / "huggingface", actor / "merged"):
        if _weights(folder):
            return str(folder)
    return str(_merge(actor))


def check_name(model_name: str) -> None:
    """Without reading or fetching anything.

    Raises:
        ModelError: if it is on no disk here and can be no hub id either.
    """
    if not Path(model_name).exists() and not may_be_hub_id(model_name):
        raise ModelError(f"--model_name {model_name}: no such folder")


def describe(folder: str) -> dict[str, Any]:
    """Bytes of weights, attention heads and a fingerprint of a local model; a hub id has only its name."""
    path = Path(folder)
    if not path.is_dir():
        return {"fingerprint": folder, "weight_bytes": None, "attention_heads": None}
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return {
        "fingerprint": fingerprint(path),
        "weight_bytes": sum(file.stat().st_size for file in _weights(path)),
        "attention_heads": config.get("num_attention_heads", 1),
    }


def fingerprint(folder: Path) -> str:
    """Tells one checkpoint from the next without reading all of it: sizes and both ends of every weight file."""
    digest = hashlib.sha256()
    for file in _weights(folder):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(READ_AT_EACH_END))
            stream.seek(max(0, size - READ_AT_EACH_END))
            digest.update(stream.read())
    return digest.hexdigest()


def check(folder: Path) -> None:
    """Compare the weights with what the configuration says the model has; reads tensor by tensor.

    Raises:
        ModelError: names the tensors that are missing, unknown, of another shape or not finite.
    """
    import torch
    from safetensors import safe_open
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    AutoTokenizer.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    tied = set(getattr(model, "all_tied_weights_keys", None) or getattr(model, "_tied_weights_keys", None) or ())
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = set()
    wrong = []
    for file in _weights(folder):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                tensor = tensors.get_tensor(name)
                found.add(name)
                if name not in expected:
                    wrong.append(f"{name} is unknown")
                elif tuple(tensor.shape) != expected[name]:
                    wrong.append(f"{name} has shape {tuple(tensor.shape)}, not {expected[name]}")
                elif not torch.isfinite(tensor).all():
                    wrong.append(f"{name} is not finite")
    wrong += [f"{name} is missing" for name in sorted(expected.keys() - found - tied)]
    if wrong:
        raise ModelError(f"{folder}: {len(wrong)} broken tensors: {'; '.join(wrong[:5])}")


def _merge(actor: Path) -> Path:
    merged, unfinished = actor / "merged", actor / "merged.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    command += ["--local_dir", str(actor), "--target_dir", str(unfinished), "--use_cpu_initialization"]
    print(f"merging {actor} with verl's merger into {merged}", flush=True)
    # the merger needs no device, and asks for none when it is told that there is only a CPU
    result = subprocess.run(command, env=os.environ | {"VERL_PLATFORM": "cpu"}, capture_output=True, text=True)
    if result.returncode:
        raise ModelError(
            f"verl's merger failed on {actor} (exit code {result.returncode}):\n{(result.stdout + result.stderr)[-4000:]}"
        )
    check(unfinished)
    unfinished.rename(merged)
    return merged


def _weights(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])
