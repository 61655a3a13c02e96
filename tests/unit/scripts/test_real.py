"""What ``make real`` and the table of tasks are made of fits what is there."""

from pathlib import Path

import pytest

from rlvr.data.tasks import parse
from rlvr.prompts import TEMPLATES
from tests.conftest import ROOT


@pytest.fixture
def scripts(script):
    return script("paper"), script("real"), script("task_table")


def test_every_run_has_the_settings_of_its_method_and_of_the_study(scripts):
    paper, real, _ = scripts
    study = paper.Study("Sums", real.SMOLLM2, real.METHODS, 3, validation=16)
    plans = paper.make_plans(study, 1, Path("runs/real"))
    assert [plan.method for plan in plans] == ["psr", "nsr", "w_reinforce"]
    for plan in plans:
        assert (ROOT / plan.launcher).is_file()
        assert f"data.val_files={real.SMOLLM2.tune}" in plan.overrides, "the held-out questions are not looked at"
        assert f"data.prompt_template_type={real.SMOLLM2.template}" in plan.overrides
        assert plan.trained.parts[-3:] == ("global_step_3", "actor", "huggingface")


def test_the_tasks_and_the_templates_are_there(scripts):
    _, real, task_table = scripts
    assert {real.SMOLLM2.template, task_table.TEMPLATE} <= TEMPLATES.keys()
    parse(real.TASK)
    assert len({parse(task).name for task in task_table.TASKS}) == 10
