"""A short fault storm on the real engine: whatever process is killed, the same command goes on and every step is there once."""

import subprocess
import sys

from tests.conftest import ROOT

FAULTS = 2


def test_a_run_under_faults_has_every_step_once(tiny):
    storm = [sys.executable, str(ROOT / "tests" / "bench" / "fault_storm.py")]
    result = subprocess.run(
        [*storm, f"--faults={FAULTS}", "--steps=4", "--pause=5,30", f"--tiny={tiny}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
    )
    assert result.returncode == 0, result.stdout[-8000:]
    assert f"\n{FAULTS} faults in " in result.stdout and " s: 0 problems\n" in result.stdout
