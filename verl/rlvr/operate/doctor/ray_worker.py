"""Inside a Ray worker on every node: is the plugin loaded, does the grader grade, are the versions the same everywhere?

    python -m rlvr.operate.doctor.ray_worker       # prints JSON, one record a node; scripts/doctor runs it with a time limit

Starts Ray on this machine with one CPU, or joins the cluster at ``RAY_ADDRESS``.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rlvr.cluster.cpus import keep_priority
from rlvr.operate.doctor import Finding, green, red

TIMEOUT_S = 300
GRACE_S = 30
MARK = "NODES"
PACKAGES = ("rlvr-decomposed", "verl", "vllm", "torch", "transformers", "ray")
RIGHT, WRONG, GOLD = "so \\boxed{\\frac{1}{2}}", "so \\boxed{2}", "0.5"


def examine() -> dict[str, Any]:
    """Runs inside a worker."""
    import importlib.metadata
    import socket

    import verl  # noqa: F401  (loads the plugin through its entry point)
    from rlvr.verify import Verifier

    plugin = sys.modules.get("rlvr.plugin")
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "missing"
    grader = Verifier()
    return {
        "host": socket.gethostname(),
        "plugin": plugin is not None,
        "missing": plugin.missing_registrations() if plugin else [],
        "grades": [grader.verify(response, GOLD).correct for response in (RIGHT, WRONG)],
        "versions": {"python": ".".join(map(str, sys.version_info[:3])), **versions},
    }


def examine_all() -> list[dict[str, Any]]:
    """:func:`examine` on every living node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(log_to_driver=False, logging_level="ERROR", **of_its_own())
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    task = ray.remote(num_cpus=0)(examine)
    return ray.get(
        [task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes]
    )


def of_its_own() -> dict[str, Any]:
    """How Ray is started on this machine; nothing where there is a cluster to join."""
    if os.environ.get("RAY_ADDRESS"):
        return {}
    keep_priority()
    return {"address": "local", "num_cpus": 1, "include_dashboard": False}


def probe() -> tuple[list[dict[str, Any]], str]:
    """(records, error): in a process of its own, because Ray's start may hang."""
    command = [sys.executable, "-m", "rlvr.operate.doctor.ray_worker"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        printed, errors = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        _end(process)
        return [], f"Ray did not run a task within {TIMEOUT_S} s"
    said = [line for line in printed.splitlines() if line.startswith(MARK)]
    if said:
        return json.loads(said[-1].removeprefix(MARK)), ""
    lines = [line for line in errors.splitlines() if line.strip()]
    return [], lines[-1].strip() if lines else f"exit code {process.returncode}"


def _end(process: "subprocess.Popen[str]") -> None:
    """Asked to, it stops the Ray that it started; killed, it would leave processes of it behind.

    Its output is not waited for: whatever it has started may hold it open.
    """
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check(records: Sequence[dict[str, Any]], error: str) -> Iterator[Finding]:
    if error:
        remedy = (
            "if Ray hangs after 'Started a local Ray instance': set ray_kwargs.ray_init.num_cpus, see the ray cpus line; "
            "logs are in /tmp/ray/session_latest/logs"
        )
        yield red("ray worker", error, remedy)
        return
    for record in records:
        where = f"on {record['host']}"
        if not record["plugin"]:
            yield red(
                "plugin",
                f"verl does not load it in a Ray worker {where}",
                "install this project there: make install(-gpu)",
            )
        elif record["missing"]:
            names = ", ".join(record["missing"])
            yield red(
                "plugin",
                f"verl does not know the {names} {where}",
                "install the same version there: make install(-gpu)",
            )
        else:
            yield green("plugin", f"loaded in a Ray worker {where}")
        if record["grades"] == [True, False]:
            yield green("grader", f"tells right from wrong in a Ray worker {where}")
        else:
            message = f"a right and a wrong answer are graded {record['grades']} in a Ray worker {where}"
            yield red("grader", message, "make test-unit there; math-verify must be 0.9.0")
    first = records[0]
    for record in records[1:]:
        differ = [
            f"{name} {first['versions'][name]} and {record['versions'][name]}"
            for name in first["versions"]
            if first["versions"][name] != record["versions"][name]
        ]
        if differ:
            message = f"{first['host']} and {record['host']} have {'; '.join(differ)}"
            yield red("nodes", message, "install the same set on every node")


if __name__ == "__main__":
    print(MARK + json.dumps(examine_all()))
