"""Our verifier beside math-verify alone, on labelled pairs: accuracy by kind, speed, the slowest verdict, the cache.

    python tests/bench/bench_verify.py [--pairs FILE] [--baseline-pairs 1000]

FILE has JSON lines with ``gold``, ``prediction`` or ``response``, ``equal`` (true, false, or null: a matter of taste, not counted)
and ``kind``. Math-verify is measured on a random sample of the same pairs (it is slow), in the same run, with its defaults.
"""

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlvr.verify import Verifier

ROOT = Path(__file__).resolve().parents[2]
PAIRS = ROOT.parent / "shared" / "grader" / "pairs.jsonl"
REPEATS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--baseline-pairs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=2.0)
    options = parser.parse_args()
    pairs = [json.loads(line) for line in options.pairs.read_text().splitlines()]
    verifier = Verifier(workers=options.workers, deadline=options.deadline)
    verifier.pool.start()
    ours = measure(verifier_grader(verifier), pairs)
    repeated = cache_rate(verifier, pairs)
    sample = random.Random(0).sample(pairs, min(options.baseline_pairs, len(pairs)))
    theirs = measure(math_verify, sample)
    print_kinds(ours, theirs)
    print(f"\n{'':24}{'pairs':>8}{'right':>9}{'FN':>9}{'FP':>9}{'pairs/s':>10}{'slowest':>10}")
    for name, result in (("rlvr.verify", ours), ("math-verify alone", theirs)):
        print_row(name, result)
    print(f"\nthe same pairs again, from the cache: {repeated:,.0f} pairs/s")
    print(f"timeouts {verifier.timeouts}, errors {verifier.errors}; grader {verifier.stamp}")
    verifier.close()


Result = list[tuple[dict[str, Any], bool, float]]


def measure(grade: Callable[[dict[str, Any]], bool], pairs: list[dict[str, Any]]) -> Result:
    result = []
    for pair in pairs:
        started = time.perf_counter()
        correct = grade(pair)
        result.append((pair, correct, time.perf_counter() - started))
    return result


def verifier_grader(verifier: Verifier) -> Callable[[dict[str, Any]], bool]:
    def grade(pair: dict[str, Any]) -> bool:
        if "prediction" in pair:
            return verifier.compare(pair["prediction"], pair["gold"]).correct
        return verifier.verify(pair["response"], pair["gold"]).correct

    return grade


def math_verify(pair: dict[str, Any]) -> bool:
    from math_verify import parse, verify

    text = f"\\boxed{{{pair['prediction']}}}" if "prediction" in pair else pair["response"]
    return bool(verify(parse(f"\\boxed{{{pair['gold']}}}"), parse(text)))


def cache_rate(verifier: Verifier, pairs: list[dict[str, Any]]) -> float:
    """As in pass@k: each question's samples, over and over."""
    known = [(pair["prediction"], pair["gold"]) for pair in pairs if "prediction" in pair][:1000]
    started = time.perf_counter()
    for _ in range(REPEATS):
        for prediction, gold in known:
            verifier.compare(prediction, gold)
    return REPEATS * len(known) / (time.perf_counter() - started)


def share(result: Result, label: bool | None) -> float:
    graded = [(pair["equal"], correct) for pair, correct, _ in result if pair["equal"] is not None]
    graded = [(equal, correct) for equal, correct in graded if label is None or equal is label]
    return sum(equal is not correct for equal, correct in graded) / max(1, len(graded))


def print_row(name: str, result: Result) -> None:
    seconds = [each for *_, each in result]
    shares = (1 - share(result, None), share(result, True), share(result, False))
    figures = "".join(f"{100 * value:8.2f}%" for value in shares)
    print(f"{name:24}{len(result):8}{figures}{len(result) / sum(seconds):10,.0f}{max(seconds):9.2f}s")


def print_kinds(ours: Result, theirs: Result) -> None:
    """One line a kind; the hostile ones together."""
    table: dict[str, list[list[int]]] = defaultdict(lambda: [[0, 0], [0, 0]])
    for index, result in enumerate((ours, theirs)):
        for pair, correct, _ in result:
            if pair["equal"] is not None:
                kind = "adv (hostile)" if pair["kind"].startswith("adv") else pair["kind"]
                cell = table[kind][index]
                cell[0] += correct is pair["equal"]
                cell[1] += 1
    print(f"{'kind':28}{'rlvr.verify':>16}{'math-verify':>16}")
    for kind, cells in sorted(table.items()):
        print(f"{kind:28}" + "".join(f"{f'{right}/{total}':>16}" for right, total in cells))


if __name__ == "__main__":
    main()
