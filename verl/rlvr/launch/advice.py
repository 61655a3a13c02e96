"""What helps where the memory estimate does not fit: single changes of the configuration, tried on the estimate itself."""

from collections.abc import Iterator
from dataclasses import replace

from rlvr.launch.memory import Estimate, Settings, estimate


def helps(settings: Settings, gpu: float, limit: int = 2) -> list[tuple[str, Estimate]]:
    """The ``limit`` best single changes where the estimate does not fit: (overrides, the estimate with them).

    Changes that make everything fit come first, in the order of what they cost; then those that bring it closest.
    """
    before = estimate(settings, gpu)
    tried = [(override, estimate(changed, gpu)) for override, changed in changes(settings, gpu)]
    better = [(override, after) for override, after in tried if after.shortage < before.shortage]
    return sorted(better, key=lambda change: change[1].shortage)[:limit]


def changes(settings: Settings, gpu: float) -> Iterator[tuple[str, Settings]]:
    """Single changes of the configuration as overrides, cheapest first."""
    actor, critic, least = settings.actor, settings.critic, settings.least_tokens
    model, prefix = "actor_rollout_ref.model.", "actor_rollout_ref.actor."
    if settings.shape.tied and not actor.fused:  # verl's fused kernels fail on a separate output embedding under FSDP2
        yield f"{model}use_fused_kernels=true", replace(settings, actor=replace(actor, fused=True))
    if actor.foreach:
        changed = replace(actor, foreach=False)
        yield f"{prefix}optim.override_optimizer_config={{fused:true}}", replace(settings, actor=changed)
    if critic and critic.foreach:
        changed = replace(critic, foreach=False)
        yield "critic.optim.override_optimizer_config={fused:true}", replace(settings, critic=changed)
    yield from _shares(settings, gpu)
    if (fewer := max(least, actor.tokens // 2)) < actor.tokens:
        changed = replace(actor, tokens=fewer, inference_tokens=min(fewer, actor.inference_tokens))
        yield f"{prefix}ppo_max_token_len_per_gpu={fewer}", replace(settings, actor=changed)
    if critic and (fewer := max(least, critic.tokens // 2)) < critic.tokens:
        changed = replace(critic, tokens=fewer, inference_tokens=min(fewer, critic.inference_tokens))
        yield f"critic.ppo_max_token_len_per_gpu={fewer}", replace(settings, critic=changed)
    if not actor.checkpointing:
        changed = replace(actor, checkpointing=True)
        yield f"{model}enable_gradient_checkpointing=true", replace(settings, actor=changed)
    if not (actor.offload_policy or (actor.param_offload and actor.optimizer_offload)):
        changed = replace(actor, param_offload=True, optimizer_offload=True)
        both = f"{prefix}fsdp_config.param_offload=true {prefix}fsdp_config.optimizer_offload=true"
        yield both, replace(settings, actor=changed)
    if critic and not critic.offload_policy:
        yield "critic.fsdp.offload_policy=true", replace(settings, critic=replace(critic, offload_policy=True))
    if not actor.offload_policy:
        changed = replace(actor, offload_policy=True)
        yield f"{prefix}fsdp_config.offload_policy=true", replace(settings, actor=changed)


def _shares(settings: Settings, gpu: float) -> Iterator[tuple[str, Settings]]:
    """The largest share of vLLM's at which the rollout phase fits and the KV cache holds a whole sequence, if there is one."""
    for percent in range(90, 15, -5):
        changed = replace(settings, rollout=replace(settings.rollout, share=percent / 100))
        after = estimate(changed, gpu)
        if after.peak("rollout") <= gpu and after.sequences >= 1:
            yield f"actor_rollout_ref.rollout.gpu_memory_utilization={percent / 100}", changed
            return
