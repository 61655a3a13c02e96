"""The pages of docs/tutorial, block by block, as a reader types them: in a clone of one's own, on the real engine.

Only sizes are smaller; ``SMALLER`` says which words of a page stand for which.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

TUTORIAL = ROOT / "docs" / "tutorial"
QUICK = (
    "trainer.total_training_steps=2 trainer.save_freq=2 trainer.test_freq=-1 trainer.val_before_train=false "
    "data.train_batch_size=16 actor_rollout_ref.rollout.n=4 actor_rollout_ref.actor.ppo_mini_batch_size=16"
)
SMALLER = {
    "1_train_and_look.md": {
        "trainer.experiment_name=tutorial-nsr": f"trainer.experiment_name=tutorial-nsr {QUICK}",
        "global_step_30": "global_step_2",
        "--limit=64 --num_generation=32": "--limit=4 --num_generation=4",
    },
    "2_your_questions_and_verifier.md": {},
    "3_your_method.md": {
        "--methods negative,solvable --quick": "--methods solvable --quick --steps 2 --questions 4 --samples 4",
        "--output runs/tutorial-methods": "--output runs/tutorial-methods " + QUICK,
    },
    "4_your_cluster.md": {},
}


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", page.read_text(), flags=re.M | re.S)


@pytest.fixture(scope="module")
def clone(tiny, tmp_path_factory) -> Path:
    """The files of the repository in a folder of their own, with the environment and the tiny model in place."""
    folder = tmp_path_factory.mktemp("tutorial") / "clone"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    shutil.copytree(tiny, folder / "data" / "tiny")
    return folder


def read(page: str, clone: Path) -> str:
    """Run a page's blocks in one shell and return what they printed."""
    script = "\n".join(blocks(TUTORIAL / page))
    for words, smaller in SMALLER[page].items():
        assert words in script, f"{page} no longer says {words!r}"
        script = script.replace(words, smaller)
    # The clone's own package, as `make install` there would make it.
    environment = os.environ | {"PYTHONPATH": f"{clone / 'verl'}:{clone / 'eval'}"}
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-8000:]
    return ended.stdout


def test_every_page_is_tested():
    assert sorted(SMALLER) == sorted(path.name for path in TUTORIAL.glob("*.md"))


def test_train_and_look(clone):
    output = read("1_train_and_look.md", clone)
    assert re.search(r"^2 right 0\.\d\d learned from \d+ wrong \d+ no answer \d+ cut \d+$", output, flags=re.M)
    assert "nsr/tiny-test minus base/tiny-test, paired by question" in output
    assert (clone / "runs/tutorial-eval/report/report.html").is_file()


def test_your_questions_and_verifier(clone):
    read("2_your_questions_and_verifier.md", clone)
    lines = (clone / "runs/tutorial-mine/metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    assert [step["step"] for step in steps] == [1, 2]
    # The page's verifier says kinds, and the run counts them.
    assert all(step["rlvr/incorrect_wrong"] + step["rlvr/incorrect_no_answer"] > 0 for step in steps)


def test_your_method(clone):
    read("3_your_method.md", clone)
    study = clone / "runs/tutorial-methods"
    run = study / "solvable-lr1e-4-seed1"
    assert "solvable" in (run / "config.yaml").read_text()
    page = (study / "report-quick" / "results.md").read_text()
    assert "| solvable (1) | 1e-4 |" in page and "lacks seed" not in page
    assert (study / "report-quick" / "paper_frontier.png").is_file()
    assert (study / "report-quick" / "paper" / "report.html").is_file()
    for name in ("base/step_0", "solvable-lr1e-4-seed1/step_2"):
        made_of = json.loads((study / "evaluation-4x4" / name / "evaluation.json").read_text())
        assert made_of["sampling"]["num_generation"] == 4
    # The same command does nothing again but the page.
    log = (run / "train.log").stat().st_mtime_ns
    again = "scripts/study studies/tiny.yaml --methods solvable --quick --steps 2 --questions 4 --samples 4 "
    again += f"--output runs/tutorial-methods {QUICK}"
    environment = os.environ | {"PYTHONPATH": f"{clone / 'verl'}:{clone / 'eval'}"}
    subprocess.run(again.split(), cwd=clone, env=environment, check=True, capture_output=True)
    assert (run / "train.log").stat().st_mtime_ns == log


def test_your_cluster(clone):
    output = read("4_your_cluster.md", clone)
    assert output.count("16 CPUs, 1 GPUs") >= 2, "both nodes are there"
    assert (clone / "runs/tutorial-cluster/global_step_4").is_dir()
