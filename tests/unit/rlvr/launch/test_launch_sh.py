"""scripts/launch.sh: the exit code of a launcher, with a stand-in for the driver."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
# In place of python3: what launch.sh asks for, and a driver that ends as DRIVER says.
STAND_IN = """#!/usr/bin/env bash
case $2 in
rlvr.cluster.cpus) echo 4 ;;
verl.trainer.main_ppo) touch "$RLVR_RUNNING"; eval "$DRIVER" ;;
esac
"""
LAUNCHER = 'set -euo pipefail; source scripts/launch.sh; PATH=$STAND_INS:$PATH; launch --config-name=psr_nsr "$@"'


@pytest.mark.parametrize(
    ("driver", "code", "says"),
    [
        ("rm $RLVR_RUNNING", 0, ""),
        ("rm $RLVR_RUNNING; exit 1", 1, ""),
        ("rm $RLVR_RUNNING; exit 2", 2, ""),
        ("exit 75", 75, ""),
        ("exit 76", 76, ""),
        ("kill -9 $$", 137, ""),
        ("exit 1", 76, "stopping the run with exit code 76"),
    ],
)
def test_an_end_without_a_word_of_python_is_a_loss(tmp_path, driver, code, says):
    stand_in, temporary = tmp_path / "python3", tmp_path / "temporary"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    temporary.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DRY_RUN", "RAY_ADDRESS", "NNODES")
    }
    environment |= {"STAND_INS": str(tmp_path), "DRIVER": driver, "TMPDIR": str(temporary)}
    ended = subprocess.run(["bash", "-c", LAUNCHER], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    assert says in ended.stderr and bool(says) == ("watchdog" in ended.stderr)
    assert not list(temporary.iterdir()), "the file is left"
