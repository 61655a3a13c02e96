"""Hydra callback of ``configs/machine/cpu.yaml``: starts the fork server as early as a run can."""

import os
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from rlvr.cpu import forkserver

PY_EXECUTABLE = "ray_kwargs.ray_init.runtime_env.py_executable"


class ForkServer(Callback):
    """Ray's workers are forked from one process that has imported everything; see :mod:`rlvr.cpu.forkserver`.

    Not for a Ray that runs already: its workers may be on other machines.
    """

    def __init__(self) -> None:
        self.command = None if "RAY_ADDRESS" in os.environ else forkserver.start()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        if self.command is not None and config.ray_kwargs.ray_init.get("address") is None:
            OmegaConf.update(config, PY_EXECUTABLE, self.command, force_add=True)
