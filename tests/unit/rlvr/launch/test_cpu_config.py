"""What the configuration of the CPU must hold for every method and model."""

import pytest

from passk.engine import CPU_ARGUMENTS
from rlvr.launch import dry_run
from tests.conftest import ROOT


@pytest.mark.parametrize("method", ["psr_nsr", "grpo", "ppo"])
def test_everything_is_computed_in_float32(method):
    """bfloat16 has no instructions on most CPUs, and is verl's and vLLM's default."""
    arguments = [f"--config-dir={ROOT / 'configs'}", f"--config-name={method}", "base_model=tiny", "machine=cpu"]
    config = dry_run.compose([*arguments, "trainer.experiment_name=test"])
    model = config.actor_rollout_ref
    for engine in (model.actor.fsdp_config, model.ref.fsdp_config, config.critic.fsdp):
        precision = engine.mixed_precision
        dtypes = [engine.model_dtype, precision.param_dtype, precision.reduce_dtype, precision.buffer_dtype]
        assert dtypes == ["fp32"] * 4
    assert model.rollout.dtype == "float32"


def test_vllm_takes_its_memory_from_what_is_free_and_answers_share_their_prompt():
    arguments = [f"--config-dir={ROOT / 'configs'}", "--config-name=psr_nsr", "base_model=tiny", "machine=cpu"]
    config = dry_run.compose([*arguments, "trainer.experiment_name=test"])
    vllm = config.actor_rollout_ref.rollout.engine_kwargs.vllm
    assert vllm.worker_cls == CPU_ARGUMENTS["worker_cls"] == "rlvr.cpu.worker.Worker"
    assert vllm.block_size == CPU_ARGUMENTS["block_size"] == 32  # the least that vLLM's kernel for the CPU likes
    assert "VLLM_CPU_KVCACHE_SPACE" not in config.ray_kwargs.ray_init.runtime_env.env_vars
