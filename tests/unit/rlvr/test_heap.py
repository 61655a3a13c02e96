"""What long-lived processes keep the collector and the C library away from (rlvr.heap); each in a process of its own."""

import subprocess
import sys

import pytest

FROZEN = """
import gc
from rlvr.heap import collect_seldom, freeze_heap

class Cycle:
    def __init__(self):
        self.me = self

old = [Cycle() for _ in range(10_000)]
freeze_heap()
print(gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 10_000)
collect_seldom()
print(gc.get_threshold()[0] > 10_000, gc.isenabled())
"""

FREED = """
import psutil
from rlvr.heap import keep_freed_memory

def held():
    return psutil.Process().memory_info().rss

KEEP
before = held()
block = b"x" * 100_000_000
del block
print(held() - before > 90_000_000)
"""


def run(program: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_what_is_alive_is_not_looked_at_again_and_what_comes_seldom():
    assert run(FROZEN) == ["True"] * 4


@pytest.mark.parametrize(("call", "kept"), [("keep_freed_memory()", "True"), ("", "False")])
def test_freed_memory_stays(call, kept):
    assert run(FREED.replace("KEEP", call)) == [kept]
