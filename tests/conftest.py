"""Shared by all tests: where things are, and the data sets that only some machines have."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from tests import nvml

os.environ["VERL_PLATFORM"] = "cpu"  # before anything imports verl
if nvml.needed():
    nvml.install()

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-updates",
        action="store_true",
        help="tests/integration/test_formulas.py: all its updates, not one a method",
    )


def own_project(language: str) -> str:
    """The code block of that language in README's section "Use it in your own verl project"."""
    section = (ROOT / "README.md").read_text().split("## Use it in your own verl project")[1].split("\n## ")[0]
    return section.split(f"```{language}\n")[1].split("```")[0]


MATH_ROW = {
    "data_source": "TianHongZXY/MATH",
    "prompt": [{"role": "user", "content": "What is $1+1$?"}],
    "reward_model": {"ground_truth": {"question": "What is $1+1$?", "target": "2"}, "style": "rule"},
}


def write_math(folder: Path) -> None:
    """``train.parquet`` and ``test.parquet`` with MATH's layout and number of training questions."""
    pd.DataFrame([MATH_ROW] * 7500).to_parquet(folder / "train.parquet")
    pd.DataFrame([MATH_ROW] * 40).to_parquet(folder / "test.parquet")


@pytest.fixture(scope="session")
def golden() -> Any:
    """Reads a golden file: outputs of the paper's own functions, kept outside the repository."""

    def read(name: str) -> Any:
        path = SHARED / "golden" / name
        if not path.is_file():
            pytest.skip(f"{path} is not on this machine")
        return json.loads(path.read_text())

    return read
