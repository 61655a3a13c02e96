"""How many questions a difference takes: closed forms, and a simulation."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passk import power
from passk.power import Measured, Z

MEASURED = Measured(low=0.5, high=4.8, questions=256)


def test_the_interval_falls_with_the_root_of_the_questions():
    assert MEASURED.half_width(256) == pytest.approx(2.15)
    assert MEASURED.half_width(1024) == pytest.approx(2.15 / 2)


def test_a_difference_of_half_the_interval_is_found_half_of_the_time():
    assert MEASURED.power(256, 2.15) == pytest.approx(0.5, abs=1e-4)
    assert MEASURED.power(256, 0) == pytest.approx(0.05)


@given(st.floats(0.3, 5), st.integers(50, 5000), st.floats(0.5, 10))
def test_the_questions_that_are_needed_have_the_power(difference, questions, width):
    measured = Measured(-width / 2, width / 2, questions)
    needed = measured.needed(difference)
    assert measured.power(needed, difference) >= 0.8 - 1e-9
    if needed > 1:
        assert measured.power(needed - 1, difference) < 0.8 + 1e-3
    assert measured.power(needed, -difference) == pytest.approx(measured.power(needed, difference))


def test_a_simulation_agrees():
    """Questions whose own differences scatter so that 256 of them make this interval."""
    deviation = 2.15 / Z * np.sqrt(256)
    means = np.random.default_rng(3).normal(2.0, deviation / np.sqrt(512), size=20_000)
    found = (np.abs(means) > MEASURED.half_width(512)).mean()
    assert MEASURED.power(512, 2.0) == pytest.approx(found, abs=0.01)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--interval", "4.8", "0.5", "--questions", "256"], "give its lower end first"),
        (["--interval", "0.5", "4.8", "--questions", "0"], "give 1 or more"),
        (["--interval", "0.5", "4.8", "--questions", "256", "--difference", "0"], "no number of questions"),
        (["--interval", "0.5", "4.8", "--questions", "256", "--planned", "0,5"], "numbers from 1 on"),
        (["--interval", "0.5", "4.8", "--questions", "256", "--planned", "many"], "many"),
    ],
)
def test_bad_input_is_one_line(monkeypatch, capsys, flags, said):
    monkeypatch.setattr(sys, "argv", ["power", *flags])
    with pytest.raises(SystemExit) as stopped:
        power.main()
    assert stopped.value.code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_what_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["power", "--interval", "0.5", "4.8", "--questions", "256", "--planned", "512"])
    power.main()
    assert "80% power for 2 points takes 605 questions" in capsys.readouterr().out
