"""What the configurations of GPU machines must hold: each line was wrong, slow or missing without it."""

import itertools

import pytest
from omegaconf import OmegaConf

from rlvr.launch import dry_run
from rlvr.training import attention
from tests.conftest import ROOT

MACHINES = ("gpu24", "gpu48", "gpu80", "gpu141", "node8", "nodes")
ONE_GPU_IN_MAIN_MEMORY = ("gpu24", "gpu48", "gpu80")


def compose(machine: str, method: str = "ppo", model: str = "qwen2.5-math-7b"):
    arguments = [f"--config-dir={ROOT / 'configs'}", f"--config-name={method}", f"base_model={model}"]
    return dry_run.compose([*arguments, f"machine={machine}", "trainer.experiment_name=test"])


@pytest.mark.parametrize("machine", MACHINES)
def test_no_model_asks_for_the_flash_attn_package(machine):
    """verl's default does, for the actor, the reference and the critic."""
    config = compose(machine)
    for model in (config.actor_rollout_ref.model, config.critic.model):
        assert model.use_remove_padding
        assert model.override_config.attn_implementation == attention.NAME
    chosen = compose(machine)
    OmegaConf.update(chosen, "actor_rollout_ref.model.override_config.attn_implementation", "flash_attention_2")
    assert chosen.critic.model.override_config.attn_implementation == "flash_attention_2", "one word chooses both"


@pytest.mark.parametrize("machine", MACHINES)
def test_gradients_wait_only_where_they_move_and_fit(machine):
    """With ``offload_policy`` verl moves all of them after every micro-batch; a card of 48 GB cannot hold 7 B of them."""
    config = compose(machine)
    actor, critic = config.actor_rollout_ref.actor.fsdp_config, config.critic.fsdp
    assert actor.offload_policy == (machine in ONE_GPU_IN_MAIN_MEMORY)
    assert actor.use_no_sync_for_gradient_accumulation == (machine in ("gpu24", "gpu80"))
    assert critic.use_no_sync_for_gradient_accumulation == (machine == "gpu80")


@pytest.mark.parametrize("machine", MACHINES)
def test_adam_in_main_memory_has_more_than_one_thread(machine, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert compose(machine).ray_kwargs.ray_init.runtime_env.env_vars.OMP_NUM_THREADS == "7"


@pytest.mark.parametrize(
    ("machine", "model"), itertools.product(MACHINES, ("qwen2.5-math-7b", "qwen3-4b", "llama3.1-8b"))
)
def test_vllm_works_on_as_many_samples_as_its_cache_holds(machine, model):
    """And the largest tensor passes through the bucket; LoRA sends adapters alone."""
    rollout = compose(machine, "psr_nsr", model).actor_rollout_ref.rollout
    assert 64 <= rollout.max_num_seqs <= 1024
    if machine in ("gpu80", "node8", "gpu141") and model == "qwen2.5-math-7b":
        assert rollout.max_num_seqs >= 512, "verl's default is 256"
    embedding = {"qwen2.5-math-7b": 152064 * 3584, "qwen3-4b": 151936 * 2560, "llama3.1-8b": 128256 * 4096}[model] * 4
    if machine != "gpu24":
        assert rollout.checkpoint_engine.update_weights_bucket_megabytes * 2**20 >= embedding
