"""In the GPU set of packages on a machine without a GPU: ``make test-gpu-set``. Not part of the default suite."""

import json
import os
import subprocess
import sys

import pytest

from tests import nvml
from tests.conftest import ROOT, write_math


@pytest.mark.skipif(not nvml.needed(), reason="asks what happens in the GPU set on a machine without a GPU")
def test_all_54_dry_runs_pass_on_a_login_node(tmp_path):
    write_math(tmp_path)
    clean = {name: value for name, value in os.environ.items() if name != "VERL_PLATFORM"}
    command = [sys.executable, "-m", "tests.gpu_set.dry_runs", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-4000:]
    lines = [line.removeprefix("FOUND") for line in result.stdout.splitlines() if line.startswith("FOUND")]
    found = [json.loads(line) for line in lines]
    assert len({run for run, _, _ in found}) == 54
    assert [one for one in found if one[1]] == []
