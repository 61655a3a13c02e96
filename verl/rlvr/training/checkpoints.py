"""Which checkpoints of a run are complete, and how many are kept (``trainer.checkpoint_callback_class``).

verl names the newest checkpoint in ``latest_checkpointed_iteration.txt`` and resumes from it, whatever is left of it. Here a
checkpoint that was saved whole gets ``complete.json``, the size of each file and a checksum of its ends, and a run resumes from
the newest one that is still so. verl removes old shards itself, but forgets at a resume what it wrote before, and leaves the rest
of the folder behind; here whole folders ``global_step_N`` go. Deliberately left out: which checkpoint is the best (copy or export
it with scripts/export_checkpoint), checksums of whole files, which would take as long as loading them.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

logger = logging.getLogger(f"verl.{__name__}")

COMPLETE = "complete.json"
TRACKER = "latest_checkpointed_iteration.txt"
END_BYTES = 2**20  # of a file's beginning and of its end


class KeepNewest(CheckpointCallback):
    """Seals a checkpoint, and keeps the ``trainer.max_actor_ckpt_to_keep`` newest ones (2 or more), null for all."""

    def on_save(
        self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs: Any
    ) -> None:
        if async_save:  # the new one may not be complete yet
            return
        seal(Path(checkpoint_dir))
        keep = self.config.trainer.max_actor_ckpt_to_keep
        for folder in superseded(Path(checkpoint_dir).parent, global_step, keep) if keep else ():
            logger.info("removing the old checkpoint %s", folder)
            shutil.rmtree(folder)


class NoCompleteCheckpoint(ValueError):
    """One line: what is wrong with each checkpoint, and the way out."""


@dataclass(frozen=True)
class Resume:
    """Where a run goes on.

    Attributes:
        folder: of the checkpoint; None where a run has none.
        passed_over: what is wrong with each newer one, in words.
    """

    folder: Path | None
    passed_over: list[str] = field(default_factory=list)


def where_to_resume(run: Path) -> Resume:
    """The newest complete checkpoint of ``run``, up to the one that verl's file names.

    A checkpoint without ``complete.json`` (of another version, or saved asynchronously) counts if verl's file names it.

    Raises:
        NoCompleteCheckpoint: if there are checkpoints and none of them is complete.
    """
    named = newest_named(run)
    if named is None:
        return Resume(None)
    flaws: list[str] = []
    for step in sorted((step for step in steps_of(run) if step <= named), reverse=True):
        folder = run / f"global_step_{step}"
        found = flaw(folder, must_be_sealed=step != named)
        if found is None:
            return Resume(folder, flaws)
        flaws.append(f"{folder.name}: {found}")
    if not (run / f"global_step_{named}").is_dir():
        flaws.insert(0, f"global_step_{named}, which {TRACKER} names, is not there")
    raise NoCompleteCheckpoint(
        f"{run}: no complete checkpoint ({'; '.join(flaws)}): bring one back, or start anew with trainer.resume_mode=disable"
    )


def newest_named(run: Path) -> int | None:
    """The step that verl's file names; of a file that says nothing the newest sealed one; None without checkpoints."""
    tracker = run / TRACKER
    if not tracker.is_file():
        return None
    text = tracker.read_text().strip()
    sealed = [step for step in steps_of(run) if (run / f"global_step_{step}" / COMPLETE).is_file()]
    return int(text) if text.isdigit() else max(sealed, default=0)


def steps_of(run: Path) -> list[int]:
    """Of the folders ``global_step_N``, in order."""
    return sorted(int(match[1]) for path in run.iterdir() if (match := re.fullmatch(r"global_step_(\d+)", path.name)))


def seal(folder: Path) -> None:
    """Write ``complete.json``: of each file of the checkpoint its size and :func:`checksum`."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(COMPLETE, None)
    content = {name: {"bytes": path.stat().st_size, "ends": checksum(path)} for name, path in files.items()}
    unfinished = folder / f"{COMPLETE}.unfinished"
    unfinished.write_text(json.dumps(content, indent=1))
    os.replace(unfinished, folder / COMPLETE)


def flaw(folder: Path, *, must_be_sealed: bool) -> str | None:
    """What is wrong with a checkpoint, in words; None if nothing is."""
    sealed = folder / COMPLETE
    if not sealed.is_file():
        return f"it has no {COMPLETE}, so it was not saved to its end" if must_be_sealed else None
    try:
        content = json.loads(sealed.read_text())
        for name, said in content.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != said["bytes"]:
                return f"{name} has {path.stat().st_size} bytes, not {said['bytes']}"
            if checksum(path) != said["ends"]:
                return f"{name} is not what was saved"
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return f"{COMPLETE} cannot be read"
    except OSError as error:
        return str(error)
    return None


def checksum(path: Path) -> str:
    """SHA-256 of the first and the last MiB of a file: a write that was cut or a block of zeros shows there."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(END_BYTES))
        file.seek(max(path.stat().st_size - END_BYTES, 0))
        digest.update(file.read(END_BYTES))
    return digest.hexdigest()


def superseded(run: Path, newest: int, keep: int) -> list[Path]:
    """Checkpoint folders of ``run`` that are older than its ``keep`` newest complete ones up to step ``newest``."""
    steps = [step for step in steps_of(run) if step <= newest]
    complete = [step for step in steps if (run / f"global_step_{step}" / COMPLETE).is_file()]
    oldest = complete[-keep] if len(complete) >= keep else 0
    return [run / f"global_step_{step}" for step in steps if step < oldest]
