"""From a composed configuration to the settings of the memory estimate and the plan."""

from typing import Any

from rlvr.launch.memory import Engine, Rollout, Settings
from rlvr.launch.plan import Plan, limited
from rlvr.launch.shapes import Shape
from rlvr.launch.tokens import sequence_tokens, token_budget

BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2}
MEBI = 2**20


def memory_settings(config: Any, shape: Shape, *, critic: bool, reference: bool) -> Settings:
    """What :func:`rlvr.launch.memory.estimate` needs.

    Raises:
        ValueError: for a parameter type that it does not know; names the key.
    """
    actor, rollout, model = (
        config.actor_rollout_ref.actor,
        config.actor_rollout_ref.rollout,
        config.actor_rollout_ref.model,
    )
    sequence = sequence_tokens(config)
    world = config.trainer.n_gpus_per_node * config.trainer.nnodes
    shards = world if actor.fsdp_config.fsdp_size <= 0 else min(world, actor.fsdp_config.fsdp_size)
    rank = model.lora_rank
    parameters = shape.parameters + (shape.adapters(rank) if rank else 0)
    actor_engine = _engine(
        actor,
        actor.fsdp_config,
        model,
        parameters=parameters,
        trainable=shape.adapters(rank) if rank else parameters,
        tensors=(*shape.tensors, *shape.adapter_tensors(rank)),
        trainable_tensors=tuple(shape.adapter_tensors(rank) if rank else shape.tensors),
        logits=shape.vocab,
        tokens=_tokens(actor, "ppo", sequence),
        inference_tokens=_tokens(rollout, "log_prob", sequence),
        entropy=actor.entropy_coeff != 0 or actor.calculate_entropy,
    )
    critic_engine = None
    if critic:
        critic_engine = _engine(
            config.critic,
            config.critic.fsdp,
            config.critic.model,
            parameters=shape.value_parameters,
            trainable=shape.value_parameters,
            tensors=tuple(shape.value_tensors),
            trainable_tensors=tuple(shape.value_tensors),
            logits=1,
            tokens=_tokens(config.critic, "ppo_infer", sequence),  # verl takes one budget for both
            inference_tokens=_tokens(config.critic, "ppo_infer", sequence),
            entropy=False,
        )
    return Settings(
        shape=shape,
        shards=shards,
        actor=actor_engine,
        critic=critic_engine,
        # With LoRA the reference model is the actor without its adapters.
        reference_bytes=_bytes(config.actor_rollout_ref.ref.fsdp_config.model_dtype) if reference and not rank else 0,
        least_tokens=token_budget(1, _root_=config),
        rollout=Rollout(
            share=rollout.gpu_memory_utilization,
            tensor_parallel=rollout.tensor_model_parallel_size,
            sequence=sequence,
            bucket=rollout.checkpoint_engine.update_weights_bucket_megabytes * MEBI,
            keeps_weights=rank > 0,
        ),
    )


def plan_of(config: Any, *, questions: int, validation_questions: int) -> Plan:
    """The plan of a run.

    Args:
        config: the composed configuration.
        questions, validation_questions: rows of the data files.

    Raises:
        ValueError: if the assumed accuracy is no probability.
    """
    algorithm, actor, rollout = config.algorithm, config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    learns_from = "all"
    if algorithm.adv_estimator == "psr_nsr" and algorithm.sample_selection == "drop":
        learns_from = {"positive": "correct", "negative": "incorrect"}.get(algorithm.advantage, "all")
    return Plan(
        questions=limited(questions, config.data.get("train_max_samples", -1)),
        validation_questions=limited(validation_questions, config.data.get("val_max_samples", -1)),
        batch=config.data.train_batch_size,
        samples_each=rollout.n,
        validation_samples_each=rollout.val_kwargs.n,
        mini_batch=actor.ppo_mini_batch_size,
        epochs_of_updates=actor.ppo_epochs,
        learns_from=learns_from,
        total_steps=config.trainer.total_training_steps,
        total_epochs=config.trainer.total_epochs,
        save_every=config.trainer.save_freq,
        test_every=config.trainer.test_freq,
        accuracy=config.launch.assumed_accuracy,
    )


def checkpoint_bytes(config: Any, settings: Settings) -> float:
    """Bytes on disk of one checkpoint: parameters and Adam's values as trained, and a Hugging Face folder in bf16."""
    engines = [settings.actor, *([settings.critic] if settings.critic else [])]
    states = sum((one.parameters + 2 * one.trainable) * one.master_bytes for one in engines)
    exported = "hf_model" in config.actor_rollout_ref.actor.checkpoint.save_contents
    return states + (2 * settings.shape.parameters if exported else 0)


def _engine(section: Any, fsdp: Any, model: Any, **fields: Any) -> Engine:
    optimizer = section.optim.get("override_optimizer_config") or {}
    return Engine(
        master_bytes=_bytes(fsdp.model_dtype),
        deferred_sync=bool(fsdp.use_no_sync_for_gradient_accumulation),
        checkpointing=model.enable_gradient_checkpointing,
        fused=model.use_fused_kernels,
        # torch's default for parameters on a GPU, also for FSDP2's
        foreach=not optimizer.get("fused", False) and optimizer.get("foreach") is not False,
        offload_policy=fsdp.offload_policy,
        param_offload=fsdp.param_offload,
        optimizer_offload=fsdp.optimizer_offload,
        **fields,
    )


def _tokens(section: Any, prefix: str, sequence: int) -> int:
    """Tokens of a micro-batch on one GPU: the budget, or so many whole sequences."""
    dynamic = section.get(f"{prefix}_use_dynamic_bsz", section.get("use_dynamic_bsz"))
    if dynamic:
        return int(section[f"{prefix}_max_token_len_per_gpu"])
    return int(section.get(f"{prefix}_micro_batch_size_per_gpu") or 1) * sequence


def _bytes(dtype: str) -> int:
    if dtype not in BYTES:
        raise ValueError(f"model_dtype={dtype} is unknown: choose one of {', '.join(BYTES)}")
    return BYTES[dtype]
