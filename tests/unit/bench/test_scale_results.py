"""Which phase gets which seconds and bytes, and what grows how."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from scale_processes import OTHERS, cpu_seconds, memory, name_of
from scale_results import by_phase, exponent, total, waited


def line(time, step, phase, **cpu):
    return {"time": time, "step": step, "phase": phase, "cpu": cpu}


LINES = [
    line(0.0, 1, "prompts", trainer=1.0),
    line(1.0, 2, "rollout", trainer=1.5),
    line(3.0, 2, "selection", trainer=2.0, storage=0.5),  # the storage was not there before
    line(4.0, 2, "rollout", trainer=3.0, storage=0.75),
    line(9.0, 3, "between", trainer=3.5, storage=1.0),
]


def test_a_phase_gets_what_was_used_from_its_line_to_the_next_one():
    phases = by_phase(LINES, [], step=2)
    assert {name: phase["wall_s"] for name, phase in phases.items()} == {"rollout": 7.0, "selection": 1.0}
    assert phases["rollout"]["cpu_s"] == {"trainer": 1.0, "storage": 0.75}
    assert phases["selection"]["cpu_s"] == {"trainer": 1.0, "storage": 0.25}


def test_messages_count_in_the_phase_in_which_they_were_sent():
    sent = [(3.5, "GET_DATA_RESPONSE", 7), (0.5, "PUT_DATA", 1000), (3.0, "PUT_DATA", 5), (2.9, "GET_META", 3)]
    messages = [{"time": time, "kind": kind, "bytes": size} for time, kind, size in sent]
    phases = by_phase(LINES, messages, step=2)
    assert phases["selection"]["bytes"] == {"put": 5, "got": 7}
    assert phases["rollout"]["bytes"] == {"metadata": 3}


def test_the_rollout_is_no_waiting():
    result = {"phases": by_phase(LINES, [], step=2)}
    assert waited(result) == 1.0
    assert total(result) == pytest.approx(3.0)
    assert total(result, ["storage"]) == pytest.approx(1.0)
    assert total(result, ["storage"], left_out="rollout") == pytest.approx(0.25)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_of_a_power_is_its_own(power):
    sizes = [512, 4096, 16384]
    assert exponent(sizes, [0.3 * size**power for size in sizes]) == pytest.approx(power)


def test_processes_are_named_by_the_titles_of_ray():
    assert name_of("ray::TaskRunner.run") == "trainer"
    assert name_of("/usr/bin/raylet --x") == OTHERS


def test_this_process_uses_processor_and_memory():
    assert cpu_seconds(os.getpid())[OTHERS] > 0
    assert memory(os.getpid())[OTHERS] > 1e6
