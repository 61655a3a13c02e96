"""A rollout server or a rollout worker that dies is started anew, and the step goes on with every sample that it should have.

:class:`Recovery` looks whenever the trainer looks for finished prompts, and before it needs the servers for something else.

- A **server** that died takes its requests with it; rollout workers ask again (:mod:`rlvr.training.rollout`). Where others live,
  they take its part, and it is started anew when the rollouts are done: a weight sync reaches all servers alike, and those that
  generate must not be disturbed. Where none lives, all are started anew at once and get the weights of the step.
- A **worker** that died is made anew and gets the prompts of its part that have no answers yet.

What dies too often in one step ends the run, as does what cannot be started anew; so does a training worker, whose weights are
gone, and a server in the middle of a weight sync, for which all training workers wait. Deliberately left out: upstream's own
rollout workers, which run sample by sample, and routers and servers that are not the default ones.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil
import ray
from omegaconf import DictConfig
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError

from rlvr.training.progress import LOOK, RESTART, WEIGHT_SYNC
from rlvr.training.rollout_mode import is_batched

# Below verl's logger: verl shields it from libraries that silence the root logger.
logger = logging.getLogger(f"verl.{__name__}")

MOST_RESTARTS = 3  # of a server or a worker, in one step
GONE_S = 60.0  # for what was killed to be gone
ANSWER_S = 10.0  # for servers to say that they live
SERVER, WORKER = "rollout server", "rollout worker"


def applies(config: DictConfig) -> bool:
    """Whether servers and workers are ours, and the load balancer is upstream's."""
    rollout = config.actor_rollout_ref.rollout
    return is_batched(config) and not rollout.get("router_config_path") and not rollout.disaggregation.enabled


class Recovery:
    """Of one trainer, in its process; servers and workers are there when it looks first.

    Args:
        trainer: an instance of upstream's ``PPOTrainerSync``.
        on: otherwise it does nothing, and what dies ends the run.
        followed: makes a method a phase of the trainer.
    """

    def __init__(self, trainer: Any, on: bool, followed: Callable[[Callable[..., Any], str], Callable[..., Any]]):
        self.trainer = trainer
        self.on = on
        self.dead_servers = followed(self._dead_servers, LOOK)
        self.start_servers = followed(self._start_servers, RESTART)
        self.sync = followed(lambda version: trainer.checkpoint_manager.update_weights(version), WEIGHT_SYNC)
        self.classes = ("BatchedVLLMServer", "BatchedRolloutWorker") if on else ()
        self.weights_version: int | None = None  # what the servers have
        self.restarts: Counter[str] = Counter()  # of this step, by name
        self.restarted: list[str] = []  # ids of the actors that others stand in for
        self.down: list[int] = []  # servers that are dead
        self.new: list[int] = []  # servers that were started in place of dead ones, and have no weights yet
        self.ends: dict[ray.ObjectRef, tuple[str, int]] = {}  # becomes ready when the actor dies
        self.children: dict[str, list[tuple[int, float]]] = {}  # a server's actor id -> its processes

    # ---- when the trainer calls

    def look(self) -> None:
        """While rollouts are under way.

        Raises:
            RuntimeError: if something died too often, or is not started anew.
        """
        workers = self._notice()
        if self.down and len(self.down) == len(self._replicas):
            self.start_servers(asleep=True)
            self.sync(self.weights_version)
            self.after_sync(self.weights_version)
        if workers:
            self.trainer.replay_buffer.refresh()  # what a worker had finished before it died
        for number in workers:
            self._start_worker(number)

    def put_to_sleep(self, sleep: Callable[[], None]) -> None:
        """The rollouts are done; all servers sleep after it, those included that stood in for ones that died meanwhile.

        Args:
            sleep: has all servers sleep; it does no harm to those that do already.

        Raises:
            RuntimeError: as :meth:`look`.
            RayActorError: if something else died.
        """
        while True:
            self.before_sleep()
            try:
                sleep()
                return
            except RayActorError:
                if not self.dead_servers():
                    raise

    def before_sleep(self) -> None:
        """The rollouts are done, and the servers are awake.

        Raises:
            RuntimeError: as :meth:`look`.
        """
        self._between(asleep=False)
        if self.on:
            self.trainer.agent_loop_manager.forget_dealt(set(self._unfinished()))

    def before_sync(self) -> None:
        """The servers sleep, and will be given weights.

        Raises:
            RuntimeError: as :meth:`look`.
        """
        self._between(asleep=True)

    def _between(self, asleep: bool) -> None:
        workers = self._notice(self.dead_servers())
        if self.down:
            self.start_servers(asleep)
        for number in workers:
            self._start_worker(number)

    def after_sync(self, version: int | None) -> None:
        """All servers have the weights of step ``version``; prompts go to new ones from here on."""
        self.weights_version = version
        if self.new:
            self._put_up()

    def next_step(self) -> None:
        self.restarts.clear()

    def metrics(self) -> dict[str, int]:
        """Restarts of this step."""
        return {
            f"rlvr/restarted_{kind.replace(' ', '_')}s": sum(
                count for name, count in self.restarts.items() if name.startswith(kind)
            )
            for kind in (SERVER, WORKER)
        }

    # ---- who lives

    @property
    def _replicas(self) -> list[Any]:
        return self.trainer.llm_server_manager.get_replicas()

    @property
    def _workers(self) -> list[ActorHandle]:
        manager = getattr(self.trainer, "agent_loop_manager", None)
        return manager.agent_loop_workers if manager is not None else []

    def _watch(self) -> None:
        """Every server and worker that is not watched yet."""
        watched = set(self.ends.values())
        for number, replica in enumerate(self._replicas):
            if (SERVER, number) not in watched and number not in self.down + self.new:
                self._watch_server(number, replica)
        for number, worker in enumerate(self._workers):
            if (WORKER, number) not in watched:
                self.ends[worker.until_lost.remote()] = (WORKER, number)

    def _watch_server(self, number: int, replica: Any) -> None:
        for server in replica.servers:
            self.ends[server.until_lost.remote()] = (SERVER, number)
            with contextlib.suppress(RayActorError):  # found at the next look
                self.children[server._actor_id.hex()] = ray.get(server.children.remote())

    def _dead_servers(self) -> dict[tuple[str, int], str]:
        """Why, of each that is dead by now. Ray tells who waits for an end a moment late, and what comes next needs all of them."""
        if not self.on:
            return {}
        deadline = time.monotonic() + ANSWER_S
        lost = {}
        for number, replica in enumerate(self._replicas):
            for server in replica.servers if number not in self.down + self.new else []:
                cause = cause_of_death(server, deadline)
                if cause is not None:
                    lost[SERVER, number] = cause
        return lost

    def _notice(self, known: Mapping[tuple[str, int], str] | None = None) -> list[int]:
        """Take servers that died out of the load balancer; the numbers of the workers that died.

        Args:
            known: what is known to be dead already, and why.
        """
        if not self.on:
            return []
        self._watch()
        ready, _ = ray.wait(list(self.ends), num_returns=len(self.ends), timeout=0) if self.ends else ([], [])
        lost = dict(known or {})
        for end in ready:
            who = self.ends.pop(end)
            try:
                ray.get(end)
            except ActorUnavailableError:  # for now: it is watched again at the next look
                continue
            except RayActorError as error:
                lost[who] = first_line(error)
        for (kind, number), cause in lost.items():
            self._count(f"{kind} {number}", cause)
            if kind == SERVER and number not in self.down:
                self._take_down(number)
        return sorted(number for kind, number in lost if kind == WORKER)

    def _count(self, name: str, cause: str) -> None:
        self.restarts[name] += 1
        if self.restarts[name] > MOST_RESTARTS:
            raise RuntimeError(f"{name} died {self.restarts[name]} times in one step: {cause}")
        logger.warning("lost %s: %s; it is started anew", name, cause)

    # ---- servers

    def _take_down(self, number: int) -> None:
        """No prompt goes there."""
        self.ends = {end: who for end, who in self.ends.items() if who != (SERVER, number)}
        self._balancer("remove_servers", [self._replicas[number].server_address])
        self.down.append(number)

    def _start_servers(self, asleep: bool) -> None:
        """Those that are down. ``asleep``: leave them as a weight sync expects them."""
        started = time.monotonic()
        replicas = [self._replicas[number] for number in self.down]
        dead = [actor_id for replica in replicas for actor_id in self._clear_away(replica)]
        asyncio.run(launch(replicas, asleep))
        ray.get([worker.__ray_call__.remote(forget_server) for replica in replicas for worker in replica.workers])
        self.restarted += dead
        self.new, self.down = self.new + self.down, []
        logger.warning("%d rollout servers were started anew in %.0f s", len(replicas), time.monotonic() - started)

    def _clear_away(self, replica: Any) -> list[str]:
        """End what is left of a server: on its other nodes, and the engine's processes, which hold the memory.

        Returns:
            The ids of its actors.
        """
        per_node = len(replica.workers) // len(replica.servers)
        actor_ids = []
        for node, server in enumerate(replica.servers):
            ray.kill(server)
            actor_ids.append(server._actor_id.hex())
            processes = self.children.pop(actor_ids[-1], [])
            ray.get(replica.workers[node * per_node].__ray_call__.remote(end_processes, processes))
        replica.servers = []
        return actor_ids

    def _put_up(self) -> None:
        """Prompts go to all servers."""
        manager = self.trainer.llm_server_manager
        manager.server_handles = [replica.server_handle for replica in self._replicas]
        manager.server_addresses = [replica.server_address for replica in self._replicas]
        new = [self._replicas[number] for number in self.new]
        self._balancer("add_servers", {replica.server_address: replica.server_handle for replica in new})
        self.new.clear()

    def _balancer(self, method: str, argument: Any) -> None:
        ray.get(getattr(self.trainer.llm_server_manager.global_load_balancer, method).remote(argument))

    # ---- workers

    def _start_worker(self, number: int) -> None:
        manager = self.trainer.agent_loop_manager
        dead = manager.agent_loop_workers[number]._actor_id.hex()
        manager.start_anew(number, set(self._unfinished()))
        self.restarted.append(dead)

    def _unfinished(self) -> Iterator[str]:
        buffer = self.trainer.replay_buffer
        for keys in (buffer.pending_keys, buffer.running_keys):
            for partition in keys.values():
                yield from partition


def cause_of_death(server: ActorHandle, deadline: float) -> str | None:
    """None if ``server`` answers, or says nothing until ``deadline``, by the monotonic clock: what stands still may go on."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            ray.get(server.lives.remote(), timeout=left)
            return None
        except ActorUnavailableError:  # Ray does not know yet
            time.sleep(0.1)
        except RayActorError as error:
            return first_line(error)
        except GetTimeoutError:
            break
    return None


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


async def launch(replicas: list[Any], asleep: bool) -> None:
    await asyncio.gather(*[replica.launch_servers() for replica in replicas])
    if asleep:
        await asyncio.gather(*[replica.sleep() for replica in replicas])


# ---- run inside a training worker, on the server's node


def forget_server(worker: Any) -> None:
    """It looks its server up by name when it needs it next."""
    for one in getattr(worker, "worker_dict", {"": worker}).values():
        if hasattr(one, "rollout"):
            one.rollout.server_handle = None


def end_processes(_: Any, processes: list[tuple[int, float]]) -> None:
    """Kill ``processes``, (pid, time of creation), that are still there, and wait until they hold nothing."""
    deadline = time.monotonic() + GONE_S
    for pid, created in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.create_time() != created:
                continue
            process.kill()
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(0.05)
