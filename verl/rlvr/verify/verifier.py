"""Extraction, equality, cache and worker pool in one object: :class:`Verifier`.

The cheap layers run where they are called, since all their work is bounded; only what they leave open goes to the pool.
"""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from rlvr.verify.boxes import COMMAND, boxed
from rlvr.verify.equal import Undecided, decide, solutions
from rlvr.verify.extract import extract, gold_answer
from rlvr.verify.policy import Policy, Stamp, stamp
from rlvr.verify.pool import Pool, Reply
from rlvr.verify.verdict import Verdict

CACHE = 200_000  # verdicts
SHORT = 300  # characters of a response that is remembered whole; longer ones are remembered by their answer
AHEAD = 1000  # verdicts of a batch that may wait for a slow one before them
NO_ANSWER = Verdict(False, error="no answer", layer="extraction")
KNOWN_RIGHT = ("\\frac{1}{2}", "so it is \\boxed{0.5}.")
KNOWN_WRONG = ("\\frac{1}{2}", "so it is \\boxed{0.05}.")


class SelfTestFailed(RuntimeError):
    """The verifier gives wrong verdicts in this very process; better not to train."""


class Verifier:
    """Grades responses. Safe to share between threads and asyncio loops, and to use after a fork.

    Args:
        policy: what to extract and which matters of taste to accept.
        workers: processes of the symbolic layer, started when first needed.
        deadline: seconds of a worker's processor time for one symbolic verdict.
        cache: how many verdicts to remember.

    Attributes:
        timeouts, errors: how many verdicts could not be given, so far.

    Raises:
        SelfTestFailed: if a known right or wrong answer is not graded so.
    """

    def __init__(
        self, policy: Policy | None = None, workers: int = 2, deadline: float = 2.0, cache: int = CACHE
    ) -> None:
        self.policy = policy or Policy()
        self.pool = Pool(workers, deadline)
        self.timeouts = 0
        self.errors = 0
        self._limit = cache
        self._start_in_this_process()

    def _start_in_this_process(self) -> None:
        """Also after a fork, where another thread may have held the lock."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._responses: dict[tuple[str, str], Verdict] = {}
        self._golds: dict[str, tuple[str, int]] = {}
        for (gold, response), correct in ((KNOWN_RIGHT, True), (KNOWN_WRONG, False)):
            verdict = self.verify(response, gold)
            if verdict.correct is not correct:
                raise SelfTestFailed(f"{response!r} was graded {verdict} for the gold {gold!r}")

    @property
    def stamp(self) -> Stamp:
        return stamp(self.policy)

    def verify(self, response: str, gold: Any) -> Verdict:
        """Grade a response; ``gold`` is an answer, a list of all answers, a solution with a last box, or a data file's record."""
        short = len(response) <= SHORT and isinstance(gold, str)
        if short and (known := self._responses.get((response, gold))) is not None and self._process == os.getpid():
            return known
        answer = self.extract(response, gold)
        verdict = NO_ANSWER if answer is None else self.compare(answer, gold)
        if short and not verdict.timed_out and not verdict.failed:
            self._remember(self._responses, (response, gold), replace(verdict, seconds=0.0))
        return verdict

    def extract(self, response: str, gold: Any) -> str | None:
        """The answer of a response by this verifier's policies; several boxes are one where the gold has several answers."""
        try:
            _, several = self._gold(gold)
        except ValueError:  # a gold that is none is reported by its verdict
            several = 1
        return extract(response, self.policy, several)

    def compare(self, prediction: str, gold: Any) -> Verdict:
        """Grade an answer that was extracted already; a box around it is opened."""
        return self._quick(prediction, gold) or self._symbolic(prediction, gold)

    async def averify(self, response: str, gold: Any) -> Verdict:
        """:meth:`verify` for an asyncio loop, which it never blocks for longer than the cheap layers take."""
        answer = self.extract(response, gold)
        if answer is None:
            return NO_ANSWER
        verdict = self._quick(answer, gold)
        if verdict is not None:
            return verdict
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.pool.workers, thread_name_prefix="verify")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._symbolic, answer, gold)

    def verify_batch(self, pairs: Iterable[tuple[str | None, Any]], extracted: bool = False) -> list[Verdict]:
        """Verdicts on (response, gold) pairs, in order; all workers are used. ``extracted``: the responses are answers,
        None where there was none."""
        return list(self.stream(pairs, extracted))

    def stream(self, pairs: Iterable[tuple[str | None, Any]], extracted: bool = False) -> Iterator[Verdict]:
        """:meth:`verify_batch`, each verdict as soon as those before it are known."""
        waiting: deque[Verdict | Future[Verdict]] = deque()
        with ThreadPoolExecutor(self.pool.workers, thread_name_prefix="verify") as threads:
            for response, gold in pairs:
                answer = response if extracted else self.extract(response or "", gold)
                verdict = NO_ANSWER if answer is None else self._quick(answer, gold)
                if verdict is not None and not waiting:
                    yield verdict
                    continue
                waiting.append(verdict or threads.submit(self._symbolic, answer or "", gold))
                while waiting and (len(waiting) > AHEAD or _is_known(waiting[0])):
                    yield _known(waiting.popleft())
            while waiting:
                yield _known(waiting.popleft())

    def close(self) -> None:
        """End the workers; the next verdict that needs one starts it again."""
        self.pool.close()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)

    def _quick(self, prediction: str, gold: Any) -> Verdict | None:
        """The verdict of the cache or the cheap layers; None if only the symbolic layer can tell."""
        if self._process != os.getpid():
            self._start_in_this_process()
        started = time.perf_counter()
        # An odd answer, or a gold that is none, must cost one counted verdict, not the training run.
        try:
            wanted, _ = self._gold(gold)
            known = self._verdicts.get((prediction, wanted))
            if known is not None:
                return known
            correct, layer = decide(wanted, _open(prediction), self.policy)
        except Undecided:
            return None
        except Exception as error:  # noqa: BLE001
            return self._count(prediction, started, Reply(error=f"error: {type(error).__name__}: {str(error)[:200]}"))
        return self._finish(prediction, wanted, started, Reply(correct, layer))

    def _symbolic(self, prediction: str, gold: Any) -> Verdict:
        started = time.perf_counter()
        wanted, _ = self._gold(gold)
        reply = self.pool.decide(wanted, _open(prediction), self.policy)
        return self._finish(prediction, wanted, started, reply)

    def _finish(self, prediction: str, wanted: str, started: float, reply: Reply) -> Verdict:
        verdict = self._count(prediction, started, reply)
        if reply.error is None:  # what failed may succeed on a quieter machine
            self._remember(self._verdicts, (prediction, wanted), replace(verdict, seconds=0.0))
        return verdict

    def _count(self, prediction: str, started: float, reply: Reply) -> Verdict:
        seconds = time.perf_counter() - started if reply.seconds is None else reply.seconds
        verdict = Verdict(reply.correct, prediction, reply.error, reply.layer, seconds)
        with self._lock:
            self.timeouts += verdict.timed_out
            self.errors += verdict.failed
        return verdict

    def _gold(self, gold: Any) -> tuple[str, int]:
        """(the gold answer, how many answers it holds)."""
        source = gold if isinstance(gold, str) else str(gold)
        if isinstance(gold, Mapping):
            source = gold.get("solution") or str(gold.get("target"))
        known = self._golds.get(source)
        if known is None:
            answer = gold_answer(gold)
            known = answer, solutions(answer)
            self._remember(self._golds, source, known)
        return known

    def _remember(self, memory: dict[Any, Any], key: Any, value: Any) -> None:
        """The oldest makes room: 256 samples of a question come together."""
        with self._lock:
            while len(memory) >= max(1, self._limit):
                del memory[next(iter(memory))]
            memory[key] = value


def _open(prediction: str) -> str:
    return (boxed(prediction) or "") if COMMAND.search(prediction) else prediction


def _is_known(item: Verdict | Future[Verdict]) -> bool:
    return isinstance(item, Verdict) or item.done()


def _known(item: Verdict | Future[Verdict]) -> Verdict:
    return item if isinstance(item, Verdict) else item.result()
