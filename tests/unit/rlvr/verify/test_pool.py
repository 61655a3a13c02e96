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

import pytest

from rlvr.verify import Verifier
from rlvr.verify.policy import Policy
from rlvr.verify.pool import Pool
from rlvr.verify.worker import MEMORY

# Each needs the symbolic layer: the grammar of the cheap ones has no limits, integrals or sums.
RIGHT = (r"\lim_{x\to 0} \frac{\sin x}{x}", r"\lim_{x\to 0} \frac{\tan x}{x}")
WRONG = (r"\int_0^1 x dx", r"\int_0^2 x dx")
ENDLESS = (r"\prod_{k=1}^{10^8} (k+1)", r"\prod_{k=1}^{10^8} k")


def test_right_wrong_and_endless(verifier):
    verifier.pool.start()
    timeouts = verifier.timeouts
    right, wrong = verifier.compare(*RIGHT), verifier.compare(*WRONG)
    assert (right.correct, right.layer, right.error) == (True, "symbolic", None)
    assert (wrong.correct, wrong.layer, wrong.error) == (False, "symbolic", None)
    started = time.monotonic()
    endless = verifier.compare(*ENDLESS)
    assert (
        time.monotonic() - started < verifier.pool.deadline + 0.5
    )  # 0.2 on an idle machine; the benchmark measures it
    assert (endless.correct, endless.error, endless.timed_out) == (False, "timeout", True)
    assert verifier.timeouts == timeouts + 1
    # The replacement is there at once: sympy is not imported again.
    started = time.monotonic()
    assert verifier.compare(r"\lim_{x\to 0} \frac{\sin 2x}{2x}", RIGHT[1]).correct
    assert time.monotonic() - started < 2


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
    pool = Pool(1)
    reply = pool.decide("1", "1", Policy())
    assert reply.error is not None and "workers died" in reply.error
    pool.close()


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


def test_an_asyncio_loop_is_not_blocked(verifier):
    async def run():
        slow = asyncio.create_task(verifier.averify(rf"\boxed{{{ENDLESS[0]}}}", ENDLESS[1] + "+2"))
        await asyncio.sleep(0)
        started = time.monotonic()
        quick = await verifier.averify(r"\boxed{0.5}", r"\frac12")
        return quick, time.monotonic() - started, await slow

    for _ in range(2):  # two loops, one after the other
        quick, seconds, slow = asyncio.run(run())
        assert quick.correct and seconds < 1 and slow.timed_out


def _grade(connection, verifier):
    connection.send((verifier or Verifier(workers=1)).compare(*RIGHT).correct)
    if verifier is None:
        connection.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_in_another_process(verifier, method):
    """A fork inherits the verifier and gets its own workers; a spawned process makes its own."""
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=_grade, args=(theirs, verifier if method == "fork" else None))
    process.start()
    assert ours.poll(60) and ours.recv() is True
    process.join(20)
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
    end = time.monotonic() + 10
    while time.monotonic() < end and _runs(worker):
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
