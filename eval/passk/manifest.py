"""What a file of samples was made with: ``FILE.manifest.json`` beside ``FILE.jsonl``.

``settings`` decide what the samples are; a run that goes on with a file must have the same. Versions, seeds and times of every
start are written down, not compared. Deliberately left out: anything about speed (``--num_gpus``, ``--batch_size``).
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passk.storage import write_atomically
from rlvr.versions import versions


class SettingsDiffer(ValueError):
    """The stored samples were made with other settings; says which."""


def manifest_path(samples: Path) -> Path:
    if samples.suffix == ".gz":
        samples = samples.with_suffix("")
    return samples.with_suffix(".manifest.json")


def read_manifest(samples: Path) -> dict[str, Any] | None:
    """The manifest beside a file of samples, or None (files of the paper's own evaluation have none).

    Raises:
        ValueError: if it is no manifest.
    """
    path = manifest_path(samples)
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a manifest: {error}") from None
    settings = found.get("settings") if isinstance(found, dict) else None
    if not isinstance(settings, dict) or not all(
        isinstance(number, int) for number in (settings.get("num_generation"), found.get("questions"))
    ):
        raise ValueError(f"{path}: not a manifest: it needs settings.num_generation and questions; move it away")
    return found


def check(samples: Path, settings: Mapping[str, Any]) -> None:
    """Refuse to mix settings in one file.

    Raises:
        SettingsDiffer: if the stored settings are not these, or samples lie there without a manifest.
    """
    stored = read_manifest(samples)
    if stored is None:
        if samples.exists() and samples.stat().st_size:
            raise SettingsDiffer(
                f"{samples} has no manifest, so nobody knows its settings; choose another --output_dir"
            )
        return
    now = json.loads(json.dumps(settings))  # as it was written: tuples are lists
    differences = [
        f"{key}: stored {stored['settings'].get(key)!r}, now {now.get(key)!r}"
        for key in sorted({*stored["settings"], *now})
        if stored["settings"].get(key) != now.get(key)
    ]
    if differences:
        raise SettingsDiffer(
            f"{samples} was made with other settings:\n  "
            + "\n  ".join(differences)
            + "\nGo on with the stored settings, or choose another --output_dir or --comment."
        )


def begin(samples: Path, settings: Mapping[str, Any], questions: int, start: Mapping[str, Any]) -> None:
    """Write the manifest of a new file, or add this start to that of a file that is continued."""
    stored = read_manifest(samples) or {"settings": settings, "questions": questions, "starts": []}
    stored["starts"].append({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "versions": versions(), **start})
    write_manifest(samples, stored)


def write_manifest(samples: Path, manifest: Mapping[str, Any]) -> None:
    write_atomically(manifest_path(samples), [json.dumps(manifest, indent=2).encode() + b"\n"])
