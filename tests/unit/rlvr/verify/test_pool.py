"""Workers can be killed, by us or by others, and no verdict is lost; nothing is left behind."""

import asyncio
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from rlvr.verify import Verifier, pool
from rlvr.verify.policy import Policy
from rlvr.verify.pool import Pool
from rlvr.verify.worker import MEMORY

# Each needs the symbolic layer: the grammar of the cheap ones has no limits, integrals or sums.
RIGHT = (r"\lim_{x\to 0} \frac{\sin x}{x}", r"\lim_{x\to 0} \frac{\tan x}{x}")
WRONG = (r"\int_0^1 x dx", r"\int_0^2 x dx")
ENDLESS = (r"\prod_{k=1}^{10^8} (k+1)", r"\prod_{k=1}^{10^8} k")
DEADLINE = 2.0


def test_right_and_wrong(verifier):
    right, wrong = verifier.compare(*RIGHT), verifier.compare(*WRONG)
    assert (right.correct, right.layer, right.error) == (True, "symbolic", None)
    assert (wrong.correct, wrong.layer, wrong.error) == (False, "symbolic", None)


@pytest.fixture
def hasty(monkeypatch):
    """A verifier with a deadline for what has no end. How late it comes is measured by the benchmark."""
    monkeypatch.setattr(pool, "PATIENCE", 600.0)
    made = Verifier(workers=1, deadline=60.0)
    assert made.compare(*RIGHT).correct, "its child is there"
    made.pool.deadline = DEADLINE
    yield made
    made.close()


def test_endless_work_is_cut_off_and_sympy_is_not_imported_again(hasty):
    (worker,) = hasty.pool.pids()
    endless = hasty.compare(*ENDLESS)
    assert (endless.correct, endless.error, endless.timed_out) == (False, "timeout", True)
    assert hasty.timeouts == 1
    hasty.pool.deadline = 60.0
    assert hasty.compare(*RIGHT).correct
    assert hasty.pool.pids() == [worker], "only its child was replaced, with sympy already loaded"


@pytest.fixture
def stopped(hasty):
    """The child of the worker, which computes nothing until it is resumed."""
    (child,) = psutil.Process(hasty.pool.pids()[0]).children()
    child.suspend()
    return child


def test_a_worker_that_gets_no_processor_time_is_waited_for(hasty, stopped):
    with ThreadPoolExecutor() as threads:
        verdict = threads.submit(hasty.compare, *WRONG)
        time.sleep(1.2 * DEADLINE)
        assert not verdict.done()
        stopped.resume()
        assert verdict.result().error is None


def test_a_worker_that_computes_nothing_is_not_waited_for_without_end(hasty, stopped, monkeypatch):
    monkeypatch.setattr(pool, "PATIENCE", 0.1)
    monkeypatch.setattr(pool, "GRACE", 60.0)  # the worker itself, which is late on a busy machine, is waited for
    (worker,) = hasty.pool.pids()
    assert hasty.compare(*WRONG).timed_out
    monkeypatch.setattr(pool, "PATIENCE", 600.0)
    assert hasty.compare(*WRONG).error is None
    assert hasty.pool.pids() == [worker]


def test_workers_killed_in_mid_batch_lose_no_verdict(verifier):
    verifier.pool.start()
    pairs = [(rf"\int_0^{{{k}}} x dx", rf"\int_0^{{{k + k % 2}}} y dy") for k in range(1, 25)]
    verdicts = []
    for verdict in verifier.stream(pairs, extracted=True):
        verdicts.append(verdict)
        if len(verdicts) in (2, 8):
            for pid in verifier.pool.pids():
                os.kill(pid, signal.SIGKILL)
        if len(verdicts) == 14:
            subprocess.run(
                ["pkill", "-KILL", "-P", str(verifier.pool.pids()[0])], check=False
            )  # its child, by its parent's id
    assert [(v.correct, v.error) for v in verdicts] == [(k % 2 == 0, None) for k in range(1, 25)]


def test_a_worker_that_cannot_start_is_an_error_not_an_exception(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/true")
    broken = Pool(1)
    reply = broken.decide("1", "1", Policy())
    assert reply.error is not None and "workers died" in reply.error
    broken.close()


def test_memory_is_limited(verifier):
    verifier.pool.start()
    for pid in verifier.pool.pids():
        assert 0 < resource.prlimit(pid, resource.RLIMIT_AS)[0] <= MEMORY


def test_from_threads(verifier):
    verdicts = []
    threads = [threading.Thread(target=lambda: verdicts.append(verifier.compare(*RIGHT))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [v.correct for v in verdicts] == [True] * 4


def test_an_asyncio_loop_is_not_blocked(hasty):
    async def run():
        slow = asyncio.create_task(hasty.averify(rf"\boxed{{{ENDLESS[0]}}}", ENDLESS[1] + "+2"))
        await asyncio.sleep(0)
        quick = await hasty.averify(r"\boxed{0.5}", r"\frac12")
        return quick, slow.done(), await slow

    for _ in range(2):  # two loops, one after the other
        quick, blocked, slow = asyncio.run(run())
        assert quick.correct and not blocked and slow.timed_out


def _grade(connection, verifier):
    connection.send((verifier or Verifier(workers=1, deadline=60.0)).compare(*RIGHT).correct)
    if verifier is None:
        connection.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_in_another_process(verifier, method):
    """A fork inherits the verifier and gets its own workers; a spawned process makes its own."""
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=_grade, args=(theirs, verifier if method == "fork" else None))
    process.start()
    assert ours.poll(300) and ours.recv() is True
    process.join(300)
    assert process.exitcode == 0
    assert verifier.compare(*RIGHT).correct


def test_no_worker_outlives_a_caller_that_was_killed():
    code = (
        "import time; from rlvr.verify import Verifier; v = Verifier(workers=1); v.pool.start();"
        "print(v.pool.pids()[0], flush=True); time.sleep(600)"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = int(caller.stdout.readline())
    caller.kill()
    caller.wait()
    caller.stdout.close()
    end = time.monotonic() + 60
    while time.monotonic() < end and _runs(worker):
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
