"""Ray clusters of several machines: start a node, wait for the nodes that were promised, say what Ray sees.

    python3 -m rlvr.cluster head 10.0.0.1                      # or scripts/ray_cluster head 10.0.0.1
    python3 -m rlvr.cluster worker 10.0.0.1:6379
    python3 -m rlvr.cluster wait --nodes 2 --gpus-per-node 8   # of RAY_ADDRESS; exit code 2 if they do not come
    python3 -m rlvr.cluster status

``head`` and ``worker`` stay in the foreground, so stopping one stops that node and nothing else. They ask for Ray's token
(``RAY_AUTH_MODE=token``) unless told otherwise, because whoever reaches a Ray cluster runs code on it. Deliberately left out: ssh
to other machines, and autoscaling.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from rlvr import machine
from rlvr.cluster.cpus import for_ray, keep_priority

EXIT_CODE = 2
PORT = 6379
POLL_S = 2.0
LOCAL_ONLY = ("num_cpus", "num_gpus", "resources", "object_store_memory")


class ClusterError(RuntimeError):
    """The cluster is not what was promised; says what is missing."""


@dataclass(frozen=True)
class Node:
    """One machine as Ray sees it; ``cpus`` and ``gpus`` are logical."""

    node_id: str
    host: str
    address: str
    cpus: float
    gpus: float
    alive: bool

    def is_called(self, name: str) -> bool:
        """Whether ``name`` is this machine's host name (with or without a domain) or address."""
        return name == self.address or name.split(".")[0] == self.host.split(".")[0]


class JoinCluster(Callback):
    """Hydra callback: a run joins the cluster that ``RAY_ADDRESS`` names, or starts Ray for itself.

    In a cluster that runs already it brings no resources of its own (``ray.init`` refuses them). Without an address ``ray.init``
    would join whatever cluster was last started on this machine, even one that is gone.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        ray_init = config.ray_kwargs.ray_init
        address = ray_init.get("address") or os.environ.get("RAY_ADDRESS")
        with open_dict(ray_init):
            if not address or address == "local":
                ray_init.address = "local"
                return
            dropped = [key for key in LOCAL_ONLY if ray_init.pop(key, None) is not None]
        if dropped:
            print(f"joining the Ray cluster at {address}; its own resources count, not ray_init's {', '.join(dropped)}")


def read_nodes(records: Iterable[Mapping[str, Any]]) -> list[Node]:
    """Nodes from the records of ``ray.nodes()``, ordered by address."""
    nodes = []
    for record in records:
        resources = record.get("Resources", {})
        nodes.append(
            Node(
                node_id=record["NodeID"],
                host=record["NodeManagerHostname"],
                address=record["NodeManagerAddress"],
                cpus=resources.get("CPU", 0),
                gpus=resources.get("GPU", 0),
                alive=record["Alive"],
            )
        )
    return sorted(nodes, key=lambda node: (node.address, node.node_id))


def describe(nodes: Sequence[Node]) -> str:
    """One line a node that is alive."""
    lines = [f"  {node.host} ({node.address}): {node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in nodes if node.alive]
    return "\n".join(lines) or "  no node"


def missing(nodes: Sequence[Node], wanted: int, gpus_per_node: int, names: Sequence[str]) -> str | None:
    """What is not there yet, in one line; None when ``wanted`` nodes have ``gpus_per_node`` GPUs each."""
    alive = [node for node in nodes if node.alive]
    fit = [node for node in alive if node.gpus >= gpus_per_node]
    if len(fit) >= wanted:
        return None
    parts = [f"{wanted - len(fit)} of {wanted} nodes with {gpus_per_node} GPUs are missing"]
    absent = [name for name in names if not any(node.is_called(name) for node in alive)]
    if absent:
        parts.append(f"not there: {', '.join(absent)}")
    small = [f"{node.host} ({node.gpus:g} GPUs)" for node in alive if node.gpus < gpus_per_node]
    if small:
        parts.append(f"too few GPUs: {', '.join(small)}")
    return "; ".join(parts)


def promised_names() -> list[str]:
    """Host names from ``RLVR_NODES`` (separated by commas or blanks) or Slurm's node list; empty where neither is set."""
    if os.environ.get("RLVR_NODES"):
        return os.environ["RLVR_NODES"].replace(",", " ").split()
    nodelist = os.environ.get("SLURM_JOB_NODELIST")
    if nodelist and shutil.which("scontrol"):
        command = ["scontrol", "show", "hostnames", nodelist]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return []


def wait(nodes: int, gpus_per_node: int, timeout_s: float) -> None:
    """Return when the cluster has what was promised; prints what Ray sees whenever that changes.

    Raises:
        ClusterError: if it is not there after ``timeout_s`` seconds; names what is missing.
    """
    deadline = time.monotonic() + timeout_s
    connect(deadline)
    import ray

    names, said = promised_names(), ""
    try:
        while True:
            seen = read_nodes(ray.nodes())
            lacking = missing(seen, nodes, gpus_per_node, names)
            now = f"Ray sees\n{describe(seen)}"
            if now != said:
                print(now if lacking is None else f"{now}\n  waiting: {lacking}", flush=True)
                said = now
            if lacking is None:
                return
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"after {timeout_s:.0f} s {lacking}. Start them with scripts/ray_cluster worker ADDRESS"
                )
            time.sleep(POLL_S)
    finally:
        ray.shutdown()


def connect(deadline: float) -> None:
    """Connect this process to the cluster at ``RAY_ADDRESS`` (default: the one on this machine), waiting for its head.

    Raises:
        ClusterError: if there is none before ``deadline`` (of the monotonic clock), or the address is of another kind.
    """
    import ray

    address = os.environ.get("RAY_ADDRESS", "auto")
    if "://" in address:
        raise ClusterError(
            f"RAY_ADDRESS={address}: expected HOST:PORT of the head (a run must start inside the cluster)"
        )
    if address not in ("auto", "local"):
        _wait_for_port(address, deadline)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except ray.exceptions.AuthenticationError as error:
        raise ClusterError(
            f"RAY_ADDRESS={address} asks for a token: export RAY_AUTH_MODE=token, with its token file"
        ) from error
    except (ConnectionError, RuntimeError) as error:
        raise ClusterError(
            f"no Ray cluster at RAY_ADDRESS={address}: {error}. Start one with scripts/ray_cluster head ADDRESS; "
            "this machine must be one of its nodes"
        ) from error


def _wait_for_port(address: str, deadline: float) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"RAY_ADDRESS={address}: expected HOST:PORT")
    said = False
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=POLL_S).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(f"nobody answers at RAY_ADDRESS={address}: {error}") from error
            if not said:
                print(f"waiting for the head at {address}", flush=True)
                said = True
            time.sleep(POLL_S)


def start_command(
    role: str, address: str, port: int, cpus: int | None, gpus: int | None, rest: Sequence[str]
) -> list[str]:
    """``ray start`` in the foreground; ``rest`` are further options of it."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    if role == "head":
        command += ["--head", f"--node-ip-address={address}", f"--port={port}", "--dashboard-host=127.0.0.1"]
    else:
        command += [f"--address={address if ':' in address else f'{address}:{port}'}"]
    if cpus is None and gpus is not None:
        cpus = for_ray(gpus, machine.cores())
    if cpus is not None:
        command.append(f"--num-cpus={cpus}")
    if gpus is not None:
        command.append(f"--num-gpus={gpus}")
    return [*command, *rest]


def require_token(role: str) -> None:
    """Set ``RAY_AUTH_MODE=token`` unless the user set it; a head makes a token where there is none."""
    mode = os.environ.setdefault("RAY_AUTH_MODE", "token")
    own = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if role == "head" and mode == "token" and not own:
        # It prints the token, which nobody needs to see.
        generate = [sys.executable, "-m", "ray.scripts.scripts", "get-auth-token", "--generate"]
        subprocess.run(generate, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if mode == "token":
        print(
            "Ray asks for its token: the other nodes and the launcher need RAY_AUTH_MODE=token and the same token file"
        )


def count_gpus() -> int | None:
    """GPUs that ``nvidia-smi`` lists, None without it."""
    if not shutil.which("nvidia-smi"):
        return None
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="rlvr.cluster", description=str(__doc__).splitlines()[0])
    roles = top.add_subparsers(dest="command", required=True)
    for role, meaning in (
        ("head", "this machine's address, as the others reach it"),
        ("worker", "the head's HOST:PORT"),
    ):
        start = roles.add_parser(
            role, help=f"start a {role} in the foreground; what it does not know goes to `ray start`"
        )
        start.add_argument("address", help=meaning)
        start.add_argument("--port", type=int, default=PORT)
        start.add_argument("--num-cpus", type=int, help="logical CPUs (default: enough for verl's reservations)")
        start.add_argument("--num-gpus", type=int, help="GPUs (default: what nvidia-smi lists)")
    waiting = roles.add_parser("wait", help="wait for the nodes")
    waiting.add_argument("--nodes", type=int, required=True)
    waiting.add_argument("--gpus-per-node", type=int, required=True)
    waiting.add_argument("--timeout", type=float, default=600.0, help="seconds")
    roles.add_parser("status", help="print what Ray sees")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    args, rest = parser().parse_known_args(arguments)
    if args.command in ("head", "worker"):
        gpus = args.num_gpus if args.num_gpus is not None else count_gpus()
        command = start_command(args.command, args.address, args.port, args.num_cpus, gpus, rest)
        require_token(args.command)
        keep_priority()
        print(" ".join(command), flush=True)
        os.execv(command[0], command)
    if rest:
        parser().error(f"unknown arguments: {' '.join(rest)}")
    try:
        if args.command == "wait":
            wait(args.nodes, args.gpus_per_node, args.timeout)
        else:
            wait(0, 0, POLL_S)
    except ClusterError as error:
        print(f"cluster error: {error}", file=sys.stderr)
        return EXIT_CODE
    return 0
