"""Random and crafted strings against the verifier: no crash, no hang, bounded memory, nothing wrong accepted.

python tests/bench/hostile.py [--count 100000] [--seed 0] [--deadline 2.0]
"""

import argparse
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator

from rlvr.verify import Verifier
from rlvr.verify.pool import PATIENCE

GOLDS = [
    "7",
    "\\frac{20}{3}",
    "(3, -1)",
    "[1,\\infty)",
    "\\text{Friday}",
    "-29x^5(7x^6-2)",
    "\\sqrt{2}+1",
    "-2, 2",
    "17_8",
]
GOLDS += ["\\begin{pmatrix} 4 \\\\ -3 \\end{pmatrix}", "y = 2x", "\\sum_{k=1}^n k^2", "1 \\pm \\sqrt{19}", "50\\%"]
PIECES = [
    *"0123456789xyzie+-*/^_!(){}[]|,.;:=<>& '\"\\%$~#@\n\t\x00",
    *(
        "\\frac",
        "\\sqrt",
        "\\boxed",
        "\\text{",
        "\\left",
        "\\right",
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "\\cup",
        "\\pm",
    ),
    *(
        "\\infty",
        "\\sum_{k=1}^{",
        "\\int_0^1",
        "\\lim_{x\\to 0}",
        "\\binom",
        "\\log",
        "\\sin",
        "\\\\",
        "\\{",
        "\\}",
        "**",
        "and",
    ),
    *(
        "−",
        "√",
        "π",
        "²",
        "½",
        "∞",
        "∪",
        "٧",
        "五",
        "🤔",
        "\u202e",
        "\u0338",
        "\ue000",
        "ﬁ",
        "dollars",
        "cm",
        "{,}",
        "\\!",
    ),
    *("__import__('os').system('true')", "exec(", "lambda x:", "9**9", "10^{", "factorial(", "1e9", "0.\\overline{3}"),
]
CRAFTED = [
    "9^{9^{9^{9}}}", "9**9**9**9", "2^" * 400 + "2", "2^{" * 300 + "2" + "}" * 300, "((10!)!)!", "1" + "!" * 500, "(10^9)!",
    "\\binom{10^9}{5*10^8}", "\\binom{9999}{5000}", "7" * 100_000, "0." + "3" * 100_000, "x+" * 50_000 + "x", "(" * 100_000,
    "(" * 50_000 + "7" + ")" * 50_000, "{" * 50_000 + "}" * 50_000, "\\boxed{" * 10_000, "\\boxed{" * 300 + "7" + "}" * 300,
    "\\frac{1}{" * 5000, "\\sqrt{" * 2000 + "2" + "}" * 2000, "\\left" * 20_000, "1,2," * 25_000, "\\{" + "1," * 5000 + "2\\}",
    "x=" * 5000 + "1", "1<" * 5000 + "2", "\\pm" * 5000, "\\pm 1," * 150 + "2", "and " * 25_000, "\\text{" * 5000, " " * 100_000,
    "a " * 50_000, "\\begin{pmatrix}" + "1&" * 20_000 + "1\\end{pmatrix}", "\\begin{pmatrix}" * 1000, "\\cup" * 10_000, "|" * 9999,
    "(x+1)^{5000}", "(x+y+z+1)^{200}-1", "\\sin(10^{1000000})", "e^{e^{e^{e^{10}}}}", "(1/3)^{99999999}", "\\log(\\log(0))",
    "1" + "0" * 4000 + "/3", "1e999999", "1e-999999", "0^0", "\\frac{1}{0}", "\\prod_{k=1}^{10^8} k", "\\int x^x dx", "i^i^i",
    "\\sqrt[99999999]{2}", "2^{1/99999999}", "x^{x^{x^{x^{x}}}}", "'" * 50_000, "-" * 50_000 + "1", "!" * 50_000, "%" * 50_000,
    "\\$" * 20_000, "cm " * 20_000, "1:" * 20_000 + "1", "_" * 20_000, "^" * 20_000, "5" + "^\\circ" * 10_000, "½" * 20_000,
]  # fmt: skip


def strings(count: int, seed: int) -> Iterator[str]:
    yield from CRAFTED
    rng = random.Random(seed)
    for _ in range(count - len(CRAFTED)):
        text = "".join(rng.choices(PIECES, k=rng.choice((1, 2, 3, 5, 8, 13, 21, 60))))
        yield text if rng.random() < 0.95 else text * rng.randint(2, 200)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deadline", type=float, default=2.0)
    options = parser.parse_args()
    verifier = Verifier(deadline=options.deadline)
    verifier.pool.start()
    rng = random.Random(options.seed + 1)
    layers: Counter[str] = Counter()
    accepted: list[tuple[str, str]] = []
    slowest, started = (0.0, ""), time.monotonic()
    for text in strings(options.count, options.seed):
        gold = rng.choice(GOLDS)
        for grade in (verifier.compare, verifier.verify):
            before = time.monotonic()
            verdict = grade(text, gold)
            slowest = max(slowest, (time.monotonic() - before, text[:60]))
            layers[verdict.error.split(":")[0] if verdict.error else verdict.layer] += 1
            if verdict.correct:
                accepted.append((text[:80], gold))
            if verdict.failed:
                print(f"error: {verdict.error} on {text[:80]!r} for {gold!r}")
    verifier.close()
    seconds = time.monotonic() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.count} strings, each as answer and as response, in {seconds:.0f} s; {dict(layers)}")
    print(
        f"slowest {slowest[0]:.3f} s on {slowest[1]!r}; peak memory {memory:.0f} MiB; accepted {len(accepted)}: {accepted[:20]}"
    )
    print(f"timeouts {verifier.timeouts}, errors {verifier.errors}")
    return int(verifier.errors > 0 or slowest[0] > options.deadline * PATIENCE + 0.2)


if __name__ == "__main__":
    sys.exit(main())
