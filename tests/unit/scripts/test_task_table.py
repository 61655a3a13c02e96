"""What the table of tasks is made of fits what is there."""

from rlvr.data.tasks import parse
from rlvr.prompts import TEMPLATES


def test_the_tasks_and_the_template_are_there(script):
    task_table = script("task_table")
    assert task_table.TEMPLATE in TEMPLATES
    assert len({parse(task).name for task in task_table.TASKS}) == 10
