"""``key=value`` of another type than the key's default."""

import pytest
from hydra.errors import ConfigCompositionException

from rlvr.launch import dry_run
from rlvr.launch.override_types import wanted_instead


@pytest.mark.parametrize(
    ("default", "value", "wanted"),
    [
        (True, "no", "true or false"),
        (False, 1, "true or false"),
        (False, True, None),
        (True, None, None),
        (-1, "often", "a number"),
        (1, True, "a number"),
        (1, [1], "a number"),
        (1, 0.5, None),
        (1e-6, 1, None),
        (None, "text", None),
        ("text", 7, None),
        (["console"], "console", None),
    ],
)
def test_what_goes_where(default, value, wanted):
    assert wanted_instead(default, value) == wanted


def compose(*overrides):
    return dry_run.compose(
        ["--config-dir=configs", "--config-name=psr_nsr", "base_model=tiny", "machine=cpu", *overrides]
    )


def test_all_are_named_once_and_the_last_of_several_counts():
    given = ["trainer.test_freq=5", "trainer.test_freq=often", "trainer.val_before_train=no", "trainer.save_freq=5"]
    with pytest.raises(ConfigCompositionException) as error:
        compose(*given)
    assert str(error.value) == (
        "trainer.test_freq=often must be a number (default: -1); trainer.val_before_train=no must be true or false (default: true)"
    )


def test_what_launchers_and_users_write_passes():
    config = compose(
        "trainer.test_freq=often", "trainer.test_freq=5", "trainer.logger=console", "actor_rollout_ref.actor.optim.lr=1e-6",
        "trainer.val_before_train=False", "trainer.total_training_steps=3", "+data.cache_dir=7", "algorithm.advantage=negative",
        "data.verifiers={my/set*: math}", "trainer.experiment_name=2026", "trainer.samples_per_step=all",
        "algorithm.rollout_correction.rollout_is_threshold=0.5_2.0", "~trainer.watchdog",
    )  # fmt: skip
    assert config.trainer.test_freq == 5 and config.trainer.val_before_train is False
