"""Numbers that verl would take and learn nothing with are named before the run."""

import pytest
from omegaconf import OmegaConf

from rlvr.launch import data_files, dry_run, numbers, preflight
from tests.unit.rlvr.launch.test_preflight import config  # noqa: F401 (a fixture)

ACTOR, ROLLOUT = numbers.ACTOR, numbers.ROLLOUT


def test_every_rule_is_of_a_key_that_verl_has(config):  # noqa: F811
    composed = config(name="ppo")
    assert [key for key in numbers.RULES if OmegaConf.select(composed, key, default=numbers) is numbers] == []
    assert [key for key in numbers.UNREAD if OmegaConf.select(composed, key) is None] == []


@pytest.mark.parametrize(
    ("override", "must_be"),
    [
        ("trainer.total_training_steps=0", "a whole number, 1 or more, or null"),
        ("trainer.total_training_steps=2.5", "a whole number, 1 or more, or null"),
        ("trainer.total_epochs=0", "a whole number, 1 or more"),
        ("data.train_batch_size=0", "a whole number, 1 or more"),
        ("data.max_response_length=-1", "a whole number, 1 or more"),
        (f"{ROLLOUT}.n=0", "a whole number, 1 or more"),
        (f"{ROLLOUT}.n=true", "a whole number, 1 or more"),
        (f"{ROLLOUT}.temperature=0", "above 0: samples of a question that are all the same teach nothing"),
        (f"{ROLLOUT}.top_p=0", "a number above 0, at most 1"),
        (f"{ROLLOUT}.val_kwargs.top_p=1.1", "a number above 0, at most 1"),
        (f"{ROLLOUT}.val_kwargs.n=0", "a whole number, 1 or more"),
        (f"{ACTOR}.ppo_epochs=0", "a whole number, 1 or more"),
        (f"{ACTOR}.clip_ratio_low=-0.2", "a number that is not negative"),
        (f"{ACTOR}.optim.lr=-1e-6", "a number that is not negative"),
        (f"{ACTOR}.optim.lr=nan", "a number that is not negative"),
        (f"{ACTOR}.optim.lr=inf", "a number that is not negative"),
        (f"{ACTOR}.optim.lr=fast", "a number that is not negative"),
        (f"{ACTOR}.optim.clip_grad=0", "above 0: it is the largest norm of a gradient"),
        ("algorithm.gamma=1.5", "a number from 0 to 1"),
    ],
)
def test_one_line_says_what_it_must_be(config, override, must_be):  # noqa: F811
    key, _, _ = override.partition("=")
    composed = config(override)
    problems = preflight.check(composed)
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"{key}=") and problems[0].endswith(f" must be {must_be}")
    assert dry_run.inspect(composed).problems == problems


def test_a_learning_rate_of_nothing_is_for_those_who_ask(config):  # noqa: F811
    assert preflight.check(config(f"{ACTOR}.optim.lr=0")) == []


def test_clipping_is_where_the_workers_read_it(config):  # noqa: F811
    (problem,) = preflight.check(config(f"{ACTOR}.grad_clip=0.5"))
    assert f"set {ACTOR}.optim.clip_grad=0.5" in problem
    assert preflight.check(config(f"{ACTOR}.grad_clip=0.5", f"{ACTOR}.optim.clip_grad=0.5")) == []


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("betas=[1.5,0.9]", "Invalid beta parameter"),
        ("optimizer=Adamm", "Adamm"),
        ("optimizer_impl=no_such.optim", "no_such"),
        ("override_optimizer_config={epps: 1}", "epps"),
    ],
)
def test_the_optimizer_is_built_before_the_run(config, override, named):  # noqa: F811
    (problem,) = preflight.check(config(f"{ACTOR}.optim.{override}"))
    assert problem.startswith(f"{ACTOR}.optim: ") and named in problem and "\n" not in problem


@pytest.mark.parametrize(
    ("overrides", "questions", "named"),
    [
        (["trainer.total_training_steps=60", "trainer.total_epochs=30"], 8, None),
        (
            ["trainer.total_training_steps=61", "trainer.total_epochs=30"],
            8,
            "total_epochs=30 of 2 steps ends before it, without a last checkpoint: set trainer.total_epochs=31",
        ),
        (["trainer.total_training_steps=null", "trainer.total_epochs=1"], 8, None),
        (["trainer.total_training_steps=30", "data.train_max_samples=4"], 8, None),
        (["trainer.total_training_steps=31", "data.train_max_samples=7"], 8, "set trainer.total_epochs=31"),
        (["data.train_max_samples=3"], 8, "data.train_batch_size=4 but data.train_max_samples=3"),
        ([], 3, "data.train_batch_size=4 but data.train_files hold only 3 questions"),
    ],
)
def test_the_steps_that_are_asked_for_are_done(config, overrides, questions, named):  # noqa: F811
    found = list(data_files.check_steps(config(*overrides), questions))
    assert [named in line for line in found] == ([] if named is None else [True]), found
