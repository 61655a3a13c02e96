"""The package ``rlvr.configs`` on upstream's own configuration: README, "Use it in your own verl project"."""

import shlex

import pytest
from hydra import compose, initialize_config_dir, initialize_config_module
from omegaconf import DictConfig, OmegaConf

import verl  # noqa: F401  (loads the plugin, whose resolvers the configuration uses)
from rlvr.launch import dry_run
from tests.conftest import ROOT, own_project

RUN = ["+base_model=tiny", "+machine=cpu", "trainer.experiment_name=own"]


def plain(config: DictConfig) -> dict:
    return OmegaConf.to_container(config, resolve=False)


def ours(method: str) -> dict:
    """What a launcher composes."""
    arguments = [f"--config-dir={ROOT / 'configs'}", f"--config-name={method}", "trainer.experiment_name=own"]
    return plain(dry_run.compose(arguments))


@pytest.mark.parametrize("method", ["psr_nsr", "grpo", "ppo"])
def test_one_search_path_and_one_entry_are_enough(method):
    """The README's command composes what our own launchers do."""
    command = shlex.split(own_project("bash"))
    overrides = [word.replace("psr_nsr", method) for word in command[command.index("verl.trainer.main_ppo") + 1 :]]
    expected = ours(method)
    with initialize_config_module("verl.trainer.config", version_base=None):
        assert plain(compose("ppo_trainer", [*overrides, *RUN])) == expected


def test_a_configuration_of_ones_own(tmp_path):
    """The README's YAML, and that its own settings win."""
    (tmp_path / "own.yaml").write_text(own_project("yaml") + "data: {train_batch_size: 7}\n")
    with initialize_config_dir(str(tmp_path), version_base=None):
        search = "hydra.searchpath=[pkg://verl.trainer.config,pkg://rlvr.configs]"  # main_ppo brings the first
        config = compose("own", [search])
    assert config.algorithm.adv_estimator == "psr_nsr"
    assert config.trainer.v1.trainer_mode == "decomposed"
    assert config.data.train_batch_size == 7
