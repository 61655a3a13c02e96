"""Runs on the real engine: Ray, FSDP2 on gloo, vLLM's CPU build. A run takes one to two minutes on two cores, so few are made
and each shows several things.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PRETRAIN_STEPS = 400  # enough for right and wrong answers


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A tiny model that knows little, and its data."""
    folder = tmp_path_factory.mktemp("tiny")
    command = [sys.executable, "-m", "rlvr.tiny", "--output", str(folder), "--steps", str(PRETRAIN_STEPS)]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder


@dataclass(frozen=True)
class Run:
    """What a launcher left behind."""

    folder: Path
    exit_code: int
    output: str

    @property
    def metrics(self) -> dict[int, dict[str, Any]]:
        """step -> metrics; validation before training is step 0."""
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        return {record.pop("step"): record for record in map(json.loads, lines)}


@pytest.fixture(scope="session")
def launch(tiny, tmp_path_factory):
    """``launch("run_tiny_….sh", "key=value", …, name="…")`` runs a launcher as a user would and returns what it left."""
    runs = tmp_path_factory.mktemp("runs")

    def launch(launcher: str, *overrides: str, name: str) -> Run:
        folder = runs / name
        settings = [
            f"data.train_files={tiny}/train.parquet",
            f"data.val_files={tiny}/test.parquet",
            f"actor_rollout_ref.model.path={tiny}/model",
            f"trainer.default_local_dir={folder}",
            "trainer.experiment_name=test",
            "trainer.total_training_steps=2",
            "trainer.val_before_train=false",
            "trainer.save_freq=-1",
            "trainer.test_freq=-1",
            "data.train_batch_size=8",
            "data.val_max_samples=4",
            "actor_rollout_ref.rollout.n=4",
            "actor_rollout_ref.rollout.val_kwargs.n=4",
            "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        ]
        result = subprocess.run(
            ["bash", str(ROOT / launcher), *settings, *overrides],
            cwd=ROOT,
            env=os.environ | {"RAY_DEDUP_LOGS": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        folder.mkdir(exist_ok=True)
        (folder / "log.txt").write_text(result.stdout)
        return Run(folder, result.returncode, result.stdout)

    return launch


def succeeded(run: Run) -> Run:
    assert run.exit_code == 0, run.output[-8000:]
    return run
