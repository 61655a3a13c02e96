"""The Hugging Face folder of a checkpoint in the dtype of the published model, as its ``config.json`` says.

verl writes the float32 master weights, and into ``config.json`` always bfloat16: twice the disk, and whoever loads the folder gets
another dtype than it says. Deliberately left out: the shards, which stay float32 and are what a run resumes from. Installed by
:mod:`rlvr.plugin`.
"""

import json
from pathlib import Path
from typing import Any

import torch


def install(manager: Any) -> None:
    """Replace what ``verl.utils.checkpoint.fsdp_checkpoint_manager`` gathers, and correct what it writes."""
    gather, save = manager.get_fsdp_full_state_dict, manager.FSDPCheckpointManager.save_checkpoint

    def get_fsdp_full_state_dict(model: Any, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        return converted(gather(model, *args, **kwargs), published_dtype(model.config))

    def save_checkpoint(self: Any, local_path: str, *args: Any, **kwargs: Any) -> None:
        save(self, local_path, *args, **kwargs)
        if self.rank == 0 and local_path is not None and self.should_save_hf_model:
            say_dtype(Path(local_path) / "huggingface" / "config.json", published_dtype(self.model.config))

    manager.get_fsdp_full_state_dict = get_fsdp_full_state_dict
    manager.FSDPCheckpointManager.save_checkpoint = save_checkpoint


def published_dtype(config: Any) -> torch.dtype:
    """The dtype in the ``config.json`` that the model was read from; float32 where it names none, as transformers means it."""
    file = Path(config.name_or_path) / "config.json"
    try:
        fields = json.loads(file.read_text())
    except OSError:
        fields = {}
    name = fields.get("dtype") or fields.get("torch_dtype") or "float32"
    return getattr(torch, str(name).removeprefix("torch."))


def converted(state: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """``state`` with its floating-point tensors in ``dtype``, one at a time, so that main memory never holds both copies."""
    for name, tensor in list(state.items()):
        if tensor.is_floating_point():
            state[name] = tensor.to(dtype)
    return state


def say_dtype(file: Path, dtype: torch.dtype) -> None:
    """Set ``dtype`` in a ``config.json``, for parts of the model as well."""
    name = str(dtype).removeprefix("torch.")
    fields = json.loads(file.read_text())
    for section in (fields, *(value for value in fields.values() if isinstance(value, dict))):
        for key in ("dtype", "torch_dtype"):
            if key in section:
                section[key] = name
    fields.setdefault("dtype", name)
    new = file.with_name("config.json.new")
    new.write_text(json.dumps(fields, indent=2) + "\n")
    new.replace(file)
