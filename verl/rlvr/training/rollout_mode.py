"""How a run's rollouts are made: by our manager or upstream's, and whether they are stopped for a weight sync.

Apart from :mod:`rlvr.training.rollout` and without imports of verl's: the trainer reads it too, which verl imports in the middle of
the base class of our manager.
"""

from omegaconf import DictConfig, OmegaConf

MANAGER = "rlvr.training.rollout.BatchedRolloutManager"  # actor_rollout_ref.rollout.agent.agent_loop_manager_class
ASYNC = "decomposed_async"  # the trainer mode in which rollouts are stopped for a weight sync, and go on after it
TURNS = 2  # of every rollout that is ours: a question and its answer


def is_batched(config: DictConfig) -> bool:
    """Whether rollouts are made by our workers, of whose answers every token counts."""
    manager = config.actor_rollout_ref.rollout.agent.agent_loop_manager_class
    return manager == MANAGER and needs_upstream(config) is None


def needs_upstream(config: DictConfig) -> str | None:
    """Why this configuration needs an agent loop a sample; None if batches will do."""
    from verl.trainer.distillation import is_distillation_enabled

    rollout, model = config.actor_rollout_ref.rollout, config.actor_rollout_ref.model
    reasons = {
        f"rollout.name={rollout.name}": rollout.name != "vllm",
        "multi_turn": rollout.multi_turn.enable or rollout.agent.default_agent_loop != "single_turn_agent",
        "no custom reward function": config.reward.custom_reward_function.path is None,
        "a reward model": config.reward.reward_model.enable,
        "a reward manager of its own": config.reward.reward_manager.name != "naive",
        "distillation": is_distillation_enabled(config.get("distillation")),
        "LoRA": model.get("lora_rank", 0) > 0 or model.get("lora", {}).get("rank", 0) > 0,
        "routing replay": rollout.enable_rollout_routing_replay,
        "full determinism": rollout.full_determinism,
        "speculative decoding": bool(OmegaConf.select(model, "mtp.enable_rollout")),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
