"""Check this machine, and the run that is planned on it. Exit code 1 if something is red.

    scripts/doctor                                              # the machine
    scripts/doctor --config-name=grpo base_model=tiny machine=cpu key=value …     # and this run's data and model

``--json`` prints one record a line, ``--no-ray`` leaves Ray alone, ``--login-node`` leaves out what only the machine with the GPUs
can answer, and says so. On a cluster (``RAY_ADDRESS``) every node is asked.
"""

import argparse
import dataclasses
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

import rlvr.configs
from rlvr import machine
from rlvr.cluster import cpus, nvidia_smi
from rlvr.operate.doctor import Finding, Level, compilers, exit_code, gpus, host, ray_worker, red, run, software, yellow

MARKS: dict[Level, str] = {"green": "✓", "yellow": "!", "red": "✗"}
CONFIGS = Path(rlvr.configs.__file__).parent


def findings(config_name: str, overrides: Sequence[str], with_ray: bool, login_node: bool = False) -> Iterator[Finding]:
    """All lines, as they become known. ``login_node``: this machine only starts the run."""
    driver = nvidia_smi.ask()
    try:
        config = planned(config_name, overrides)
    except HydraException as error:
        yield red(
            "run",
            " ".join(str(error).split()),
            "the settings are those of a launcher: base_model=… machine=… key=value",
        )
        return
    on_gpu = config.trainer.device != "cpu" if overrides else driver is not None
    per_node = int(config.trainer.n_gpus_per_node)
    if not overrides and driver:
        per_node = len(driver.gpus)
    yield from host.check(on_gpu and not login_node, Path(config.trainer.default_local_dir))
    if not os.environ.get("RAY_ADDRESS") and not login_node:  # a cluster that runs has its own counts
        limits = (os.cpu_count() or 1, machine.cores(), default_ray_cpus())
        yield from host.check_ray_cpus(*limits, run.ray_cpus(config), per_node)
    here = on_gpu and not login_node
    if on_gpu and login_node:
        yield yellow(
            "gpus", "not looked at: this is a login node", "scripts/doctor without --login-node on a compute node"
        )
    else:
        yield from gpus.check(driver, per_node if on_gpu else None)
    yield from compilers.check(here)
    yield from software.check(software.probe_all(on_gpu), here, driver.cuda if driver else None)
    if overrides:
        yield from run.check(config, here=not login_node)
    if with_ray:
        yield from ray_worker.check(*ray_worker.probe())


def planned(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """The run's configuration; without overrides the shipped defaults, of which only general settings are used."""
    config = run.compose(CONFIGS, config_name, overrides)
    if not any("ray_init.num_cpus" in override for override in overrides):
        launcher_s = cpus.for_ray(int(config.trainer.n_gpus_per_node), machine.cores())
        config.ray_kwargs.ray_init.num_cpus = launcher_s
    return config


def default_ray_cpus() -> int:
    """What Ray counts when nobody tells it."""
    from ray._private.utils import get_num_cpus

    return int(get_num_cpus(override_docker_cpu_warning=True))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/doctor", description=str(__doc__).splitlines()[0])
    parser.add_argument("--config-name", default="psr_nsr", help="psr_nsr, grpo or ppo")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument(
        "--login-node", action="store_true", help="the run will be on another machine, which has the GPUs"
    )
    parser.add_argument("overrides", nargs="*", help="the launcher's settings: base_model=… machine=… key=value")
    args = parser.parse_args(arguments)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    found, console = [], Console(soft_wrap=True, highlight=False)
    for finding in findings(args.config_name, args.overrides, not args.no_ray, args.login_node):
        found.append(finding)
        if args.json:
            print(json.dumps(dataclasses.asdict(finding)), flush=True)
        else:
            console.print(line(finding))
    if not args.json:
        counts = {level: sum(one.level == level for one in found) for level in MARKS}
        console.print(", ".join(f"{count} {level}" for level, count in counts.items()))
    return exit_code(found)


def line(finding: Finding) -> Text:
    text = Text(f"{MARKS[finding.level]} {finding.level:<7}{finding.check:<18}{finding.message}", style=finding.level)
    if finding.remedy:
        text.append(f"\n{'':27}→ {finding.remedy}", style="default")
    return text


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # verl warns of every training engine that is not installed
    logging.disable(logging.WARNING)
    sys.exit(main())
