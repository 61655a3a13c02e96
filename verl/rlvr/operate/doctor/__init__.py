"""Is this machine fit for a run?  ``scripts/doctor`` (:mod:`rlvr.operate.doctor.__main__`). One group of checks a file."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["green", "yellow", "red"]


@dataclass(frozen=True)
class Finding:
    """One line. ``remedy`` is what to do; empty when green. Red: a run would fail."""

    level: Level
    check: str
    message: str
    remedy: str = ""


def green(check: str, message: str) -> Finding:
    return Finding("green", check, message)


def yellow(check: str, message: str, remedy: str) -> Finding:
    return Finding("yellow", check, message, remedy)


def red(check: str, message: str, remedy: str) -> Finding:
    return Finding("red", check, message, remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """1 if anything is red."""
    return int(any(finding.level == "red" for finding in findings))
