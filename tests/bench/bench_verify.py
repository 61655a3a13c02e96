"""Our verifier beside math-verify alone, on labelled pairs and on public bug reports: accuracy by kind, speed, the slowest verdict.

    python tests/bench/bench_verify.py [--pairs FILE] [--reports FILE] [--baseline-pairs 1000]

FILE has JSON lines with ``gold``, ``prediction`` or ``response``, ``equal`` or ``expected`` (true, false, or null or "policy": a
matter of taste, not counted) and ``kind``. Math-verify is measured on a random sample of the same pairs (it is slow), in the same
run, with its defaults. False negatives (FN) are a share of the right answers, false positives (FP) of the wrong ones, both counted.
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
REPORTS = PAIRS.with_name("reports.jsonl")
REPEATS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--reports", type=Path, default=REPORTS)
    parser.add_argument("--baseline-pairs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=2.0)
    options = parser.parse_args()
    verifier = Verifier(workers=options.workers, deadline=options.deadline)
    verifier.pool.start()
    for file in (options.reports, options.pairs):
        pairs = read(file)
        ours = measure(verifier_grader(verifier), pairs)
        sample = random.Random(0).sample(pairs, min(options.baseline_pairs, len(pairs)))
        theirs = measure(math_verify, sample)
        print(f"\n{file.name}")
        print_kinds(ours, theirs)
        print(f"\n{'':24}{'pairs':>8}{'right':>9}{'FN':>15}{'FP':>15}{'pairs/s':>10}{'slowest':>10}")
        for name, result in (("rlvr.verify", ours), ("math-verify alone", theirs)):
            print_row(name, result)
    repeated = cache_rate(verifier, pairs)
    print(f"\nthe same pairs again, from the cache: {repeated:,.0f} pairs/s")
    print(f"timeouts {verifier.timeouts}, errors {verifier.errors}; grader {verifier.stamp}")
    verifier.close()


def read(file: Path) -> list[dict[str, Any]]:
    """The pairs of a file; reports say ``expected`` where pairs say ``equal``."""
    pairs = [json.loads(line) for line in file.read_text().splitlines()]
    for pair in pairs:
        pair.setdefault("equal", pair.get("expected"))
        if pair["equal"] == "policy":
            pair["equal"] = None
    return pairs


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


def mistakes(result: Result, label: bool | None) -> tuple[int, int]:
    """(how many verdicts differ from the label, of how many)."""
    graded = [(pair["equal"], correct) for pair, correct, _ in result if pair["equal"] is not None]
    graded = [(equal, correct) for equal, correct in graded if label is None or equal is label]
    return sum(equal is not correct for equal, correct in graded), len(graded)


def print_row(name: str, result: Result) -> None:
    seconds = [each for *_, each in result]
    wrong, graded = mistakes(result, None)
    figures = "".join("{:>15}".format("{} of {}".format(*mistakes(result, label))) for label in (True, False))
    right = 100 * (1 - wrong / max(1, graded))
    print(f"{name:24}{len(result):8}{right:8.2f}%{figures}{len(result) / sum(seconds):10,.0f}{max(seconds):9.2f}s")


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
