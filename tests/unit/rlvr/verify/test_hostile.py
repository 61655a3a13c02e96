"""The small version of tests/bench/hostile.py: crafted and random strings neither crash, hang, nor pass for an answer."""

import contextlib
import time

import pytest

from rlvr.verify.equal import Undecided, decide
from rlvr.verify.extract import extract
from rlvr.verify.policy import Policy
from tests.bench.hostile import CRAFTED, GOLDS, strings

# Each would be quadratic work if answers were read at any length.
LONG = [
    "5 " + "ab " * 6000 + "!",
    "5 " + "meters " * 2800 + "!",
    "\\text{" + "is" * 9000,
    "1 and " * 3000,
    "111," * 4900 + "111",
]


@pytest.mark.parametrize("text", CRAFTED + LONG, ids=range(len(CRAFTED + LONG)))
def test_the_cheap_layers_are_bounded(text):
    started = time.process_time()  # what others do on this machine does not count
    extract(text, Policy())
    for gold in GOLDS:
        with contextlib.suppress(Undecided):
            assert not decide(gold, text, Policy())[0]
    assert time.process_time() - started < 3  # 0.3 is usual


def test_random_strings(verifier):
    errors = verifier.errors
    for text in strings(len(CRAFTED) + 1000, seed=1):
        for gold in GOLDS[:3]:
            verifier.verify(text, gold)
            verifier.compare(text, gold)
    assert verifier.errors == errors
