"""A verl checkpoint as a Hugging Face folder that loads, with a manifest that says what it is.

    python -m passk.export runs/NAME/global_step_105 OUTPUT          # or scripts/export_checkpoint

Shards are merged by verl's merger (:mod:`passk.models`). ``OUTPUT`` appears only when it is complete: every tensor compared with
what the configuration says, the model loaded by transformers, one forward pass finite. ``OUTPUT/manifest.json`` has the source,
step, method, versions, and size and SHA-256 of every file. Deliberately left out: an upload, and conversions to other formats.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from passk import models
from rlvr.outputs import check_folder
from rlvr.records import DataError
from rlvr.versions import versions

MANIFEST = "manifest.json"
CHUNK = 1 << 20


class ExportError(ValueError):
    """Nothing was exported; says why."""


def export(checkpoint: Path, output: Path) -> dict[str, Any]:
    """Write ``output`` from ``checkpoint`` (``global_step_N``, or a run's folder for its newest) and return its manifest.

    Raises:
        ExportError: if ``output`` exists, or ``checkpoint`` is no checkpoint of verl's.
        passk.models.ModelError: if the weights are broken.
        DataError: if ``output`` cannot be written.
        OSError: if the disk is full; what is written so far lies in ``OUTPUT.unfinished``, and the next try removes it.
    """
    if output.exists():
        raise ExportError(f"{output} exists already; choose another folder or remove it")
    checkpoint = newest(checkpoint)
    step = checkpoint.name.removeprefix("global_step_")
    if not step.isdigit() or not (checkpoint / "actor").is_dir():
        raise ExportError(
            f"{checkpoint}: expected a checkpoint of verl's, runs/NAME/global_step_N with the folder actor"
        )
    source = Path(models.resolve(str(checkpoint)))
    unfinished = output.with_name(output.name + ".unfinished")
    check_folder(output.parent)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    files = sorted(path for path in source.iterdir() if path.is_file())
    for number, file in enumerate(files, start=1):
        print(f"[{number}/{len(files)}] {file.name}, {file.stat().st_size / 1e6:.1f} MB", flush=True)
        shutil.copyfile(file, unfinished / file.name)
    print("checking every tensor, then loading the model", flush=True)
    models.check(unfinished)
    parameters = load(unfinished)
    manifest = {
        "source": str(source.resolve()),
        "step": int(step),
        **described(checkpoint.parent / "config.yaml"),
        "parameters": parameters,
        "exported": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": versions(),
        "files": {file.name: fingerprint(unfinished / file.name) for file in files},
    }
    (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    unfinished.rename(output)
    return manifest


def newest(folder: Path) -> Path:
    """The checkpoint that ``latest_checkpointed_iteration.txt`` names, if ``folder`` is a run's."""
    tracker = folder / "latest_checkpointed_iteration.txt"
    return folder / f"global_step_{tracker.read_text().strip()}" if tracker.is_file() else folder


def load(folder: Path) -> int:
    """Load the model as a user would and run it on one token; the number of parameters.

    Raises:
        ExportError: if transformers cannot load it, invents weights, or the logits are not finite.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model, info = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ExportError(f"{folder} does not load with transformers: {error}") from error
    strange = {
        kind: sorted(info[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[kind]
    }
    if strange:
        raise ExportError(f"{folder} does not load completely: {strange}")
    token = tokenizer.eos_token_id or 0
    with torch.no_grad():
        logits = model(torch.tensor([[token]])).logits
    if not torch.isfinite(logits).all():
        raise ExportError(f"{folder}: the model's logits are not finite")
    return sum(parameter.numel() for parameter in model.parameters())


def described(config: Path) -> dict[str, Any]:
    """Base model and method from a run's resolved configuration; empty without one."""
    if not config.is_file():
        return {}
    from omegaconf import OmegaConf

    run = OmegaConf.load(config)
    method = {key: OmegaConf.select(run, f"algorithm.{key}") for key in ("adv_estimator", "advantage")}
    return {"base_model": OmegaConf.select(run, "actor_rollout_ref.model.path"), "algorithm": method}


def fingerprint(file: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="export_checkpoint", description=str(__doc__).splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="runs/NAME/global_step_N, or runs/NAME for its newest")
    parser.add_argument("output", type=Path, help="the folder to make")
    args = parser.parse_args(arguments)
    try:
        manifest = export(args.checkpoint, args.output)
    except (ExportError, models.ModelError, DataError, OSError) as error:
        print(f"export error: {error}", file=sys.stderr)
        return 1
    print(f"{args.output}: step {manifest['step']}, {manifest['parameters']:,} parameters, loaded and checked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
