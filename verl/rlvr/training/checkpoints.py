"""How many checkpoints a run keeps (``trainer.checkpoint_callback_class``).

verl removes old shards itself, but forgets at a resume what it wrote before, and leaves the rest of the folder behind. This
removes whole folders ``global_step_N``, after ``latest_checkpointed_iteration.txt`` names the new one. Deliberately left out:
which checkpoint is the best; copy or export (scripts/export_checkpoint) what you want to keep.
"""

import logging
import re
import shutil
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

logger = logging.getLogger(f"verl.{__name__}")


class KeepNewest(CheckpointCallback):
    """Keeps the ``trainer.max_actor_ckpt_to_keep`` newest checkpoints (2 or more), null for all."""

    def on_save(
        self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs: Any
    ) -> None:
        keep = self.config.trainer.max_actor_ckpt_to_keep
        if keep and not async_save:  # asynchronously, the new one may not be complete yet
            for folder in superseded(Path(checkpoint_dir).parent, global_step, keep):
                logger.info("removing the old checkpoint %s", folder)
                shutil.rmtree(folder)


def superseded(run: Path, newest: int, keep: int) -> list[Path]:
    """Checkpoint folders of ``run`` older than the ``keep`` newest ones up to step ``newest``."""
    steps = sorted(int(match[1]) for path in run.iterdir() if (match := re.fullmatch(r"global_step_(\d+)", path.name)))
    older = [step for step in steps if step <= newest]
    return [run / f"global_step_{step}" for step in older[: max(0, len(older) - keep)]]
