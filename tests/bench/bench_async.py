"""What upstream's asynchronous trainer modes would bring to a run of the paper: a simulation, no engine and no model.

    python tests/bench/bench_async.py [--seeds 3]

Eight GPUs, one engine on each, 1,024 prompts x 8 samples a step, with the response lengths of :mod:`scale_lengths`. An engine
has up to 256 samples at a time and takes 8 ms for a token of each and 0.066 ms more for each sample (25 ms when it is full);
training takes what makes generation 60 % of a synchronous step. Modes:

- ``sync``: all samples, then training;
- ``colocate_async``: prompts of some more batches are under way; as soon as 1,024 prompts are complete, the others are stopped, and
  after training they go on with the new weights from the tokens that they have, which are read again first;
- ``separate_async``: some GPUs only generate and never stop, the others only train; the prompts of one more batch are under way.

Training on fewer GPUs takes longer in proportion. Left out: weight syncs and waking up.
"""

import argparse
import heapq
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from scale_lengths import LENGTHS, draw_lengths

GPUS, PROMPTS, N, AT_ONCE = 8, 1024, 8, 256
WEIGHTS_S, SAMPLE_S = 0.008, 0.017 / AT_ONCE
READ_TOKENS_PER_S = 28_000  # 7 billion parameters at 40 % of an H100's peak
GENERATION_SHARE = 0.6
STEPS, WARM_UP = 10, 3


@dataclass
class Sample:
    """``versions``: of the weights that its tokens come from, as tokens by version."""

    prompt: int
    left: int
    done: int = 0
    versions: dict[int, int] = field(default_factory=dict)


class Engine:
    """Every sample that is under way gets a token at a time."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.tokens = 0  # that a sample would have that is under way since the beginning
        self.running: list[tuple[int, int, Sample]] = []  # heap of (tokens at its end, number, sample)
        self.waiting: deque[Sample] = deque()
        self.began: dict[int, int] = {}  # number -> tokens at its start
        self.numbers = 0

    def fill(self) -> None:
        while self.waiting and len(self.running) < AT_ONCE:
            sample = self.waiting.popleft()
            self.clock += sample.done / READ_TOKENS_PER_S
            self._begin(sample)

    def _begin(self, sample: Sample) -> None:
        self.numbers += 1
        self.began[self.numbers] = self.tokens
        heapq.heappush(self.running, (self.tokens + sample.left, self.numbers, sample))

    def token_s(self) -> float:
        return WEIGHTS_S + SAMPLE_S * len(self.running)

    def next_end(self) -> float:
        self.fill()
        return self.clock + (self.running[0][0] - self.tokens) * self.token_s() if self.running else np.inf

    def finish(self, version: int) -> Sample:
        """The sample that ends next."""
        self.clock = self.next_end()
        self.tokens, number, sample = heapq.heappop(self.running)
        self._credit(sample, number, version)
        return sample

    def advance(self, until: float) -> None:
        if self.running and until > self.clock:
            self.tokens += int((until - self.clock) / self.token_s())
        self.clock = max(self.clock, until)

    def new_weights(self, version: int, stop: bool) -> None:
        """What was generated until now is of ``version``; ``stop``: and is read again before it goes on."""
        running, self.running = self.running, []
        for _, number, sample in sorted(running, key=lambda one: one[1], reverse=True):
            self._credit(sample, number, version)
            if stop:
                self.waiting.appendleft(sample)
            else:
                self._begin(sample)

    def _credit(self, sample: Sample, number: int, version: int) -> None:
        tokens = self.tokens - self.began.pop(number)
        sample.done, sample.left = sample.done + tokens, sample.left - tokens
        if tokens:
            sample.versions[version] = sample.versions.get(version, 0) + tokens


class Rollouts:
    """Prompts, dealt to engines in turn, whose samples are all on one engine."""

    def __init__(self, engines: int, limit: int, draw: np.random.Generator):
        self.engines = [Engine() for _ in range(engines)]
        self.limit, self.draw = limit, draw
        self.asked = 0
        self.missing: dict[int, int] = {}
        self.samples: dict[int, list[Sample]] = {}
        self.complete: list[int] = []

    def ask(self, prompts: int) -> None:
        lengths = draw_lengths(prompts * N, self.limit, self.draw).reshape(prompts, N).tolist()
        for row in lengths:
            self.samples[self.asked] = [Sample(self.asked, length) for length in row]
            self.missing[self.asked] = N
            self.engines[self.asked % len(self.engines)].waiting.extend(self.samples[self.asked])
            self.asked += 1

    def run(self, version: int, prompts: int, until: float = np.inf) -> float:
        """Until so many prompts are complete, or until a time; the time, 0 where they were complete before."""
        if len(self.complete) >= prompts:
            return 0.0
        while True:
            engine = min(self.engines, key=Engine.next_end)
            if engine.next_end() > until:
                break
            sample = engine.finish(version)
            self.missing[sample.prompt] -= 1
            if not self.missing[sample.prompt]:
                self.complete.append(sample.prompt)
                if len(self.complete) == prompts:
                    until = engine.clock
                    break
        for engine in self.engines:
            engine.advance(until)
        return until

    def take(self, prompts: int) -> list[Sample]:
        """Samples of the oldest complete prompts."""
        taken = sorted(self.complete)[:prompts]
        self.complete = [prompt for prompt in self.complete if prompt not in set(taken)]
        return [sample for prompt in taken for sample in self.samples.pop(prompt)]


@dataclass
class Measured:
    """Seconds a step, and how old the tokens are that it learns from, in updates."""

    step_s: float
    tokens_old: float  # mean over tokens
    samples_mixed: float  # share of samples from several versions


def old(samples: list[Sample], version: int) -> tuple[float, float]:
    tokens = sum(sum(sample.versions.values()) for sample in samples)
    age = sum((version - one) * count for sample in samples for one, count in sample.versions.items())
    return age / tokens, sum(len(sample.versions) > 1 for sample in samples) / len(samples)


def sync(limit: int, seed: int) -> float:
    """Seconds of generation in a step."""
    times = []
    for step in range(STEPS):
        rollouts = Rollouts(GPUS, limit, np.random.default_rng([seed, step]))
        rollouts.ask(PROMPTS)
        times.append(rollouts.run(0, PROMPTS))
    return float(np.mean(times))


def colocated(limit: int, seed: int, training_s: float, more: float) -> Measured:
    rollouts = Rollouts(GPUS, limit, np.random.default_rng(seed))
    rollouts.ask(int(more * PROMPTS))
    now, times, ages = 0.0, [], []
    for version in range(STEPS):
        rollouts.ask(PROMPTS)
        began = now
        now = rollouts.run(version, PROMPTS) + training_s
        ages.append(old(rollouts.take(PROMPTS), version))
        for engine in rollouts.engines:
            engine.new_weights(version, stop=True)
            engine.clock = now
        times.append(now - began)
    return Measured(float(np.mean(times[WARM_UP:])), *np.mean(ages[WARM_UP:], axis=0).tolist())


def separated(limit: int, seed: int, training_s: float, generating: int) -> Measured:
    rollouts = Rollouts(generating, limit, np.random.default_rng(seed))
    rollouts.ask(PROMPTS)
    training_s *= GPUS / (GPUS - generating)
    now, times, ages = 0.0, [], []
    for version in range(STEPS):
        rollouts.ask(PROMPTS)
        began = now
        now = max(now, rollouts.run(version, PROMPTS))
        ages.append(old(rollouts.take(PROMPTS), version))
        now = rollouts.run(version, 10**9, until=now + training_s)
        for engine in rollouts.engines:
            engine.new_weights(version, stop=False)
        times.append(now - began)
    return Measured(float(np.mean(times[WARM_UP:])), *np.mean(ages[WARM_UP:], axis=0).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    print("| responses up to | mode | step s | of sync | tokens: updates old | samples of several weights |")
    print("| --- | --- | --- | --- | --- | --- |")
    for limit in LENGTHS:
        generation = np.mean([sync(limit, seed) for seed in seeds])
        training = generation * (1 / GENERATION_SHARE - 1)
        whole = generation + training
        print(f"| {limit:,} | sync: {generation:.0f} s of generation | {whole:.0f} | 1.00 × | 0 | 0 % |", flush=True)
        modes = [(f"colocate_async, {more:g} batches more", colocated, more) for more in (0.25, 0.5, 1)]
        modes += [(f"separate_async, {gpus} of {GPUS} GPUs generate", separated, gpus) for gpus in (3, 4, 5)]
        for name, simulate, setting in modes:
            runs = [simulate(limit, seed, training, setting) for seed in seeds]
            step, age, mixed = (
                float(np.mean([getattr(run, what) for run in runs]))
                for what in ("step_s", "tokens_old", "samples_mixed")
            )
            print(f"| | {name} | {step:.0f} | {whole / step:.2f} × | {age:.2f} | {100 * mixed:.0f} % |", flush=True)


if __name__ == "__main__":
    main()
