"""What long answers cost an evaluation: engines that only keep time, driven by the real dealing (:mod:`passk.sampling`).

    python tests/bench/bench_evaluation.py long [--seed 0]

An engine works on so many answers at once and makes one token of each in a step; time is counted in steps, so minutes of a run pass
in seconds. Lengths are an assumption, the one of bench_scale.py: log-normal, cut at the limit. For each setting:

- a kill: tokens that a kill at a random moment throws away, as a share of the run, and how much of it was of finished answers;
- grading: how long a finished answer waits for the others of its request;
- replicas: how long several engines take together, dealt to by count or by what each has left;
- the tail: the share of the engines' places that are empty because nothing is left to start;
- what kills do to the answers: how much shorter they are on average after some kills, if a question is drawn again as a whole (as
  :mod:`passk.storage` does), or only those of its answers that were not finished.
"""

import heapq
import itertools
import random
import statistics
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from passk.engine import Answers, Generation, Request
from passk.generate import PIECE
from passk.sampling import Died, Fleet, Ready, Report, deal, sample

LOOK_EVERY = 100  # answers
REPEATS = 4

console = Console(width=150)


@dataclass(frozen=True)
class Setting:
    """Questions, answers to each, their lengths (median, sigma of the logarithm, limit), answers that an engine has at once."""

    name: str
    questions: int
    samples: int
    median: int
    sigma: float
    limit: int
    at_once: int
    step_s: float  # only to give steps a length that people can judge

    def length(self, draw: random.Random) -> int:
        return min(self.limit, max(1, round(self.median * draw.lognormvariate(0, self.sigma))))


SETTINGS = [
    Setting("Qwen2.5-Math-7B, MATH, 100 × 256, 4,096", 100, 256, 700, 0.6, 4096, 256, 0.025),
    Setting("Qwen3-4B, MATH, 500 × 64, 32,768", 500, 64, 1000, 1.0, 32768, 256, 0.025),
    Setting("Qwen3-4B, AIME, 30 × 64, 32,768", 30, 64, 1000, 1.0, 32768, 256, 0.025),
]

ON_REPLICAS = [
    (8, Setting("Qwen2.5-Math-7B, MATH, 200 × 256, 4,096", 200, 256, 700, 0.6, 4096, 256, 0.025)),
    (8, Setting("Qwen3-4B, MATH, 1,000 × 64, 32,768", 1000, 64, 1000, 1.0, 32768, 256, 0.025)),
    # more GPUs than questions, each with little memory
    (64, Setting("Qwen2.5-Math-7B, AIME, 30 × 256, 4,096, 96 at once", 30, 256, 700, 0.6, 4096, 96, 0.025)),
]

Way = Callable[[Fleet, Setting, int], Iterator[Answers]]


class Clockwork:
    """An engine without a model; ``now`` is its clock, in steps."""

    cache_tokens = 1 << 40

    def __init__(self, setting: Setting, draw: random.Random, slowness: float = 1.0) -> None:
        self.setting, self.draw, self.slowness = setting, draw, slowness
        self.at_once = setting.at_once
        self.now = 0.0
        self.waiting: deque[Request] = deque()  # one entry an answer
        self.running: list[tuple[float, int, Request, int]] = []  # (when it ends, number, request, length)
        self.started = 0
        self.finished: dict[object, list[tuple[float, int]]] = {}  # key -> (when, length) of its finished answers
        self.last: list[tuple[float, int]] = []  # of the request that was finished last
        self.lateness: list[float] = []
        self.used = 0.0  # tokens made
        self.unfinished = 0

    @property
    def unfinished_samples(self) -> int:
        return len(self.waiting) + len(self.running)

    def add(self, request: Request) -> None:
        self.waiting += [request] * request.samples
        self.finished[request.key] = []
        self.unfinished += 1

    def step(self) -> list[Answers]:
        """On to the end of the next answer."""
        while self.waiting and len(self.running) < self.at_once:
            request, length = self.waiting.popleft(), self.setting.length(self.draw)
            self.started += 1
            heapq.heappush(self.running, (self.now + length * self.slowness, self.started, request, length))
        self.now, _, request, length = heapq.heappop(self.running)
        self.used += length
        ends = self.finished[request.key]
        ends.append((self.now, length))
        if len(ends) < request.samples:
            return []
        self.last = self.finished.pop(request.key)
        self.unfinished -= 1
        self.lateness += [self.now - when for when, _ in ends]
        return [Answers(request.key, tuple(Generation("", length, "stop") for _, length in ends))]

    def thrown_away(self) -> tuple[float, float]:
        """(tokens of finished answers, tokens of unfinished ones) that a kill would cost now."""
        done = sum(length for ends in self.finished.values() for _, length in ends)
        under_way = sum(length - (end - self.now) / self.slowness for end, _, _, length in self.running)
        return done, under_way


class ClockworkFleet:
    """Engines that share one time: whoever finishes next is heard next."""

    def __init__(self, engines: list[Clockwork]) -> None:
        self.engines = {str(number): engine for number, engine in enumerate(engines)}
        self.given: Counter[str] = Counter()
        self.news = [Ready(name, engine.at_once, engine.cache_tokens) for name, engine in self.engines.items()]
        self.now = 0.0

    def send(self, replica: str, requests: Iterable[Request]) -> None:
        engine = self.engines[replica]
        if not engine.unfinished:
            engine.now = self.now
        for request in requests:
            self.given[replica] += request.samples
            engine.add(request)

    def wait(self) -> list[Ready | Report | Died]:
        if self.news:
            self.news, news = [], self.news
            return list(news)
        busy = [name for name, engine in self.engines.items() if engine.unfinished]
        name = min(busy, key=lambda name: self._next_end(self.engines[name]))
        engine = self.engines[name]
        answers = engine.step()
        self.now = max(self.now, engine.now)
        return [Report(name, self.given[name] - engine.unfinished_samples, answers)]

    @staticmethod
    def _next_end(engine: Clockwork) -> float:
        return engine.running[0][0] if engine.running else engine.now

    def close(self) -> None:
        pass


def deal_by_count(fleet: Fleet, requests: Iterable[Request], share: int) -> Iterator[Answers]:
    """For comparison: every replica always has ``share`` requests, however long they are."""
    queue = iter(requests)
    under_way = 0
    names = [event.replica for event in fleet.wait()]
    for _ in range(share):
        for name, request in zip(names, queue):
            fleet.send(name, [request])
            under_way += 1
    while under_way:
        for event in fleet.wait():
            for answers in event.answers:
                under_way -= 1
                for request in [next(queue, None)]:
                    if request is not None:
                        fleet.send(event.replica, [request])
                        under_way += 1
                yield answers


def requests_of(setting: Setting, piece: int | None = None) -> list[Request]:
    n = setting.samples
    return [
        Request((question, first), "", min(piece or n, n - first))
        for question in range(setting.questions)
        for first in range(0, n, piece or n)
    ]


def one_engine(seed: int) -> Table:
    """What a kill throws away, how late grading is, and the tail, on one engine."""
    table = Table(
        "one engine, 256 answers at once, 25 ms a step", "run", "thrown away by a kill", "of it finished", "as time"
    )
    for column in ("an answer waits for its request: median", "95 %", "empty places"):
        table.add_column(column)
    for setting in SETTINGS:
        engine = Clockwork(setting, random.Random(seed))
        moments, done, under_way = [], [], []
        for _ in itertools.islice(_watched(engine, requests_of(setting)), 0, None, LOOK_EVERY):
            first, second = engine.thrown_away()
            moments.append(engine.now)
            done.append(first)
            under_way.append(second)
        # every moment counts by its length
        lengths = [after - before for before, after in zip([0.0, *moments], moments)]
        lost = sum((a + b) * length for a, b, length in zip(done, under_way, lengths)) / engine.now
        lost_done = sum(a * length for a, length in zip(done, lengths)) / engine.now
        minute = setting.step_s / 60
        late = statistics.quantiles(engine.lateness, n=20)
        table.add_row(
            setting.name,
            f"{engine.now * minute:.0f} min",
            f"{lost / engine.used:.1%}",
            f"{lost_done / lost:.0%}",
            f"{lost / engine.used * engine.now * minute:.1f} min",
            f"{late[9] * minute:.1f} min",
            f"{late[18] * minute:.1f} min",
            f"{1 - engine.used / (engine.now * engine.at_once):.1%}",
        )
    return table


def _watched(engine: Clockwork, requests: list[Request]) -> Iterator[None]:
    """After every finished answer, with a thousand questions ahead as in eval.sh."""
    step = engine.step

    queue = iter(requests)
    for request in queue:
        engine.add(request)
        if engine.unfinished == 1000:
            break
    while engine.unfinished:
        if step():
            for request in queue:
                engine.add(request)
                break
        yield


def replicas(seed: int) -> Table:
    """How long several engines take, of what they would take if none of them ever waited."""
    table = Table("replicas: time, of the time without any waiting", "dealt", "the same speed", "one half as fast")
    ways: dict[str, Way] = {
        "by count, a fifth of the questions": lambda fleet, s, n: deal_by_count(
            fleet, requests_of(s), max(1, s.questions // 5 // n)
        ),
        "by what is left, whole questions": lambda fleet, s, n: deal(fleet, requests_of(s), s.median),
        f"by what is left, {PIECE} answers": lambda fleet, s, n: deal(fleet, requests_of(s, PIECE), s.median),
    }
    for count, setting in ON_REPLICAS:
        for name, way in ways.items():
            speeds = ([1.0] * count, [1.0] * (count - 1) + [2.0])
            cells = [
                statistics.fmean(_time_of(way, setting, slowness, seed + repeat) for repeat in range(REPEATS))
                for slowness in speeds
            ]
            table.add_row(f"{count}: {setting.name}", name, *(f"{cell:.2f}" for cell in cells))
    return table


def _time_of(way: Way, setting: Setting, slowness: list[float], seed: int) -> float:
    engines = [Clockwork(setting, random.Random(f"{seed} {number}"), slow) for number, slow in enumerate(slowness)]
    fleet = ClockworkFleet(engines)
    for _ in way(fleet, setting, len(engines)):
        pass
    speed = sum(engine.at_once / engine.slowness for engine in engines)
    return fleet.now / (sum(engine.used for engine in engines) / speed)


def shortened(seed: int, repeats: int = 40) -> Table:
    """How much shorter answers are after kills."""
    table = Table(
        "mean length after kills, minus undisturbed", "kills", "questions drawn again", "unfinished answers alone"
    )
    for setting in (SETTINGS[1], SETTINGS[2]):
        for kills in (1, 5):
            cells = []
            for keep in (False, True):
                draw = random.Random(seed)
                means = [_mean_after_kills(setting, draw, kills, keep) for _ in range(repeats)]
                expected = statistics.fmean(setting.length(draw) for _ in range(200_000))
                off = [mean / expected - 1 for mean in means]
                error = statistics.stdev(off) / len(off) ** 0.5
                cells.append(f"{statistics.fmean(off):+.1%} ± {1.96 * error:.1%}")
            table.add_row(setting.name, str(kills), *cells)
    return table


def _mean_after_kills(setting: Setting, draw: random.Random, kills: int, keep: bool) -> float:
    """Mean tokens of an answer of an evaluation that was killed at random moments.

    Args:
        keep: finished answers of unfinished questions are kept.
    """
    todo = {question: setting.samples for question in range(setting.questions)}
    lengths: list[int] = []
    whole = setting.questions * setting.samples / setting.at_once * setting.median
    for kill in range(kills + 1):
        until = draw.uniform(0, whole) if kill < kills else float("inf")
        engine = Clockwork(setting, draw)
        requests = [Request(question, "", samples) for question, samples in todo.items()]
        for answers in sample(engine, iter(requests), 1000):
            if engine.now > until:
                engine.finished[answers.key] = engine.last  # it came too late
                break
            lengths += [one.tokens for one in answers.generations]
            del todo[answers.key]
        if keep:
            for question, ends in engine.finished.items():
                kept = [length for when, length in ends if when <= until]
                lengths += kept
                todo[question] -= len(kept)
    return statistics.fmean(lengths)


def show(seed: int = 0) -> None:
    """All three tables."""
    for table in (one_engine(seed), replicas(seed), shortened(seed)):
        console.print(table)
