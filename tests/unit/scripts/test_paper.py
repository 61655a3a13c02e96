"""The plan of the paper in miniature: which runs, where, with which settings."""

from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def paper(script):
    return script("paper")


def study(paper, methods):
    return paper.Study("Countdown", paper.TINY, methods, paper.STEPS, validation=128)


def test_every_method_and_seed_has_a_folder_of_its_own(paper):
    plans = paper.make_plans(study(paper, paper.METHODS), 3, Path("runs"))
    assert len(plans) == 15 == len({plan.folder for plan in plans})
    assert [plan.seed for plan in plans] == sorted(plan.seed for plan in plans), "whole seeds first"
    for plan in plans:
        assert f"seed={plan.seed}" in plan.overrides
        assert (ROOT / plan.launcher).is_file()


def test_the_ablations_go_on_from_the_runs_of_the_methods(paper):
    methods = {plan.folder: plan.overrides for plan in paper.make_plans(study(paper, paper.METHODS), 1, Path("runs"))}
    ablations = {
        plan.folder: plan.overrides for plan in paper.make_plans(study(paper, paper.ABLATIONS), 1, Path("runs"))
    }
    assert len(ablations) == len(paper.ABLATIONS)
    shared = methods.keys() & ablations.keys()
    assert {folder.name for folder in shared} == {"psr-seed1", "nsr-seed1", "w_reinforce-seed1"}
    for folder in shared:
        assert methods[folder] == ablations[folder], "one folder, one run"


def test_settings_for_every_run(paper):
    for plan in paper.make_plans(
        study(paper, paper.METHODS), 1, Path("runs"), ["actor_rollout_ref.actor.optim.lr=1e-5"]
    ):
        assert "actor_rollout_ref.actor.optim.lr=1e-5" in plan.overrides


def test_any_methods_are_compared(paper):
    methods = paper.advantages("negative,rloo")
    assert [plan.folder.name for plan in paper.make_plans(study(paper, methods), 1, Path("runs"))] == [
        "negative-seed1",
        "rloo-seed1",
    ]
    assert methods["rloo"][1] == ["algorithm.advantage=rloo"]
    with pytest.raises(paper.argparse.ArgumentTypeError, match="bogus is no method: choose among positive, negative"):
        paper.advantages("negative,bogus")
