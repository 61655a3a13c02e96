"""The dry run of a study: the large ones resolve to the paper's settings, and what is wrong is named. Starts nothing."""

import json
import os
import re
import sys

import pandas as pd
import pytest

from rlvr.launch.shapes import KNOWN
from rlvr.study import __main__ as command
from rlvr.study import dry_run
from rlvr.study.load import load
from rlvr.study.runs import plan
from tests.conftest import MATH_ROW, ROOT


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The launchers, their scripts and configurations in a folder that has the data, as on a machine that is to train."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("configs", "scripts", "studies", *(path.name for path in ROOT.glob("run_*.sh"))):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    for name, rows in (("math/train", 4200), ("math/test", 40), ("aime2025/test", 30), ("amc23/test", 40)):
        file = folder / "data" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame([MATH_ROW] * rows).to_parquet(file)
    return folder


@pytest.fixture
def study(repository, monkeypatch, capsys):
    """``study("studies/x.yaml", …)``: (exit code, stdout, problems) of the command there."""
    monkeypatch.chdir(repository)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def run(*words: str) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["study", *words])
        code = command.main()
        captured = capsys.readouterr()
        return code, captured.out, [line for line in captured.err.splitlines() if line.startswith("config error: ")]

    return run


@pytest.mark.parametrize(
    ("name", "flags", "runs"),
    [
        ("qwen2.5-math-7b", ["--arms", "paper,lambda"], 8),
        ("qwen3-4b", ["--methods", "psr,ppo"], 2),
        ("llama3.1-8b", ["--methods", "nsr,grpo"], 2),
    ],
)
def test_the_papers_table_resolves(study, monkeypatch, name, flags, runs):
    monkeypatch.delenv("VERL_PLATFORM")
    code, output, problems = study(f"studies/paper_{name}.yaml", "--dry-run", *flags)
    assert (code, problems) == (0, [])
    assert f"{runs} runs of {runs} kinds" in output and "dry run: nothing is wrong" in output
    rows = re.findall(r"^(\S+-lr1e-6-seed1) +([\d.]+) +([\d.]+) +(\d+) +(\d+)$", output, re.M)
    assert len(rows) == runs
    hours = {row[0]: float(row[1]) for row in rows}
    total, training, answers = map(
        int, re.search(r"(\d+) GPU hours \((\d+) training, (\d+) answers\)", output).groups()
    )
    assert training == pytest.approx(sum(hours.values()), abs=1)
    assert answers == pytest.approx(sum(float(row[2]) for row in rows) * (1 + 1 / (4 * runs)), abs=1), "and the base's"
    assert total == pytest.approx(training + answers, abs=1)
    if "ppo-lr1e-6-seed1" in hours:
        assert hours["ppo-lr1e-6-seed1"] > 2 * hours["psr-lr1e-6-seed1"], "a critic, and no sample dropped"
    assert "assumed (in the specification) and not measured" in output
    assert output.index("base: answers") < output.index("order:") + 200


def test_a_run_is_what_its_launcher_hands_to_verl(repository, monkeypatch):
    from omegaconf import OmegaConf

    from rlvr.launch.dry_run import compose

    monkeypatch.chdir(repository)
    spec = load(repository / "studies" / "paper_qwen2.5-math-7b.yaml")
    (run,) = plan(spec, ["paper"], {}, ["trainer.n_gpus_per_node=4"]).arms["paper"]["w_reinforce"]
    config = compose(dry_run.arguments_of(run))
    expected = {
        "actor_rollout_ref.model.path": "Qwen/Qwen2.5-Math-7B",
        "algorithm.advantage": "weighted",
        "algorithm.positive_advantage_weight": 0.1,
        "actor_rollout_ref.actor.optim.lr": 1e-6,
        "data.train_batch_size": 1024,
        "trainer.total_training_steps": 110,
        "trainer.save_freq": 28,
        "trainer.test_freq": 7,
        "trainer.max_actor_ckpt_to_keep": None,
        "trainer.default_local_dir": "runs/study-qwen2.5-math-7b/w_reinforce-lr1e-6-seed1",
        "trainer.n_gpus_per_node": 4,
        "seed": 1,
    }
    assert {key: OmegaConf.select(config, key) for key in expected} == expected


def test_what_is_wrong_is_named_with_the_runs_that_have_it(study, repository, monkeypatch):
    monkeypatch.delenv("VERL_PLATFORM")
    flags = ["--dry-run", "--methods", "nsr,grpo", "data.train_files=none.parquet"]
    code, output, problems = study("studies/paper_qwen3-4b.yaml", *flags)
    assert code == 2
    assert any("every run: data.train_files: none.parquet does not exist" in problem for problem in problems)
    assert "problem(s)" in output
    amc = repository / "data" / "amc23" / "test.parquet"
    amc.rename(amc.with_suffix(".away"))
    try:
        _, _, problems = study("studies/paper_qwen3-4b.yaml", "--dry-run", "--methods", "nsr")
    finally:
        amc.with_suffix(".away").rename(amc)
    said = "evaluation.datasets.AMC 23=data/amc23/test.parquet does not exist: scripts/prepare_data"
    assert any(said in problem for problem in problems)


def test_a_setting_that_verl_has_not(study, monkeypatch):
    monkeypatch.delenv("VERL_PLATFORM")
    flags = ["--dry-run", "--methods", "nsr", "actor_rollout_ref.nope=1"]
    code, _, (problem,) = study("studies/paper_qwen3-4b.yaml", *flags)
    assert code == 2 and "nope" in problem


def test_the_tiny_study_says_minutes_and_what_is_chosen_first(study, repository):
    model = repository / "data" / "tiny" / "model"
    model.mkdir(parents=True, exist_ok=True)
    (model / "config.json").write_text(json.dumps(KNOWN["Qwen/Qwen3-4B"]))
    for split in ("train", "tune", "test"):
        pd.DataFrame([MATH_ROW] * 300).to_parquet(model.parent / f"{split}.parquet")
    copy = repository / "untuned.yaml"
    copy.write_text((ROOT / "studies" / "tiny.yaml").read_text())
    code, output, problems = study(
        str(copy), "--dry-run", "--arms", "paper,lr_6e-5", "--methods", "nsr,grpo", "--seeds", "2"
    )
    assert (code, problems) == (0, [])
    assert "first, to choose learning rates: 6 runs" in output
    assert re.search(r"time: about \d+ minutes with 2 runs at a time \(choosing learning rates \d+, training", output)
    assert output.count("then the tuning questions") == 6
    assert os.environ["VERL_PLATFORM"] == "cpu"

    words = [str(copy), "--arms", "lr_6e-5", "--methods", "nsr", "--questions", "301"]
    code, _, problems = study(*words, "--dry-run")
    said = "data/tiny/test.parquet holds 300 questions, and 301 are to be asked: lower the number, or make more"
    assert (code, problems) == (2, [f"config error: {said}"])
