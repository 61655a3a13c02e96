"""Hydra callback of ``configs/machine/cpu.yaml``: starts the fork server as early as a run can."""

import os
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from rlvr.cluster.cpus import keep_priority
from rlvr.cpu import forkserver

PY_EXECUTABLE = "ray_kwargs.ray_init.runtime_env.py_executable"


class ForkServer(Callback):
    """Ray's workers are forked from one process that has imported everything; see :mod:`rlvr.cpu.forkserver`.

    They run at the driver's own priority.

    Not for a Ray that runs already: its workers may be on other machines.
    """

    def __init__(self) -> None:
        self.command = None if "RAY_ADDRESS" in os.environ else forkserver.start()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        # "local" is what rlvr.cluster sets where a run starts Ray for itself
        if self.command is not None and config.ray_kwargs.ray_init.get("address") in (None, "local"):
            OmegaConf.update(config, PY_EXECUTABLE, self.command, force_add=True)
            keep_priority()
