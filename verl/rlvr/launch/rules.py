"""What verl would only find out in the middle of a run, as far as the configuration and the model's ``config.json`` tell.

Pure: no engine is imported. Each problem is one line that names the key, the value and the way out.
"""

from collections.abc import Iterator
from typing import Any

from rlvr.launch.shapes import Shape
from rlvr.launch.tokens import sequence_tokens


def check(config: Any, shape: Shape | None, *, critic: bool) -> Iterator[str]:
    """All problems; ``shape`` is None where the model is not known."""
    yield from check_token_budgets(config, critic=critic)
    yield from check_lengths(config, shape)
    yield from check_parallelism(config, shape)
    yield from check_lora(config, critic=critic)
    if shape is not None:
        yield from check_fused_kernels(config, shape)


def check_token_budgets(config: Any, *, critic: bool) -> Iterator[str]:
    """verl asserts that a sequence fits into a micro-batch when it meets one that does not."""
    model, actor = config.actor_rollout_ref, config.actor_rollout_ref.actor
    budgets = {}
    if actor.use_dynamic_bsz:
        budgets["actor_rollout_ref.actor.ppo_max_token_len_per_gpu"] = (actor, actor.ppo_max_token_len_per_gpu)
    if model.rollout.log_prob_use_dynamic_bsz:
        key = "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu"
        budgets[key] = (actor, model.rollout.log_prob_max_token_len_per_gpu)
    if model.ref.log_prob_use_dynamic_bsz:
        budgets["actor_rollout_ref.ref.log_prob_max_token_len_per_gpu"] = (
            actor,
            model.ref.log_prob_max_token_len_per_gpu,
        )
    if critic and config.critic.use_dynamic_bsz:
        key = "critic.ppo_infer_max_token_len_per_gpu"
        budgets[key] = (config.critic.fsdp, config.critic.ppo_infer_max_token_len_per_gpu)
    sequence = sequence_tokens(config)
    for key, (engine, budget) in budgets.items():
        parallel = engine.ulysses_sequence_parallel_size
        if budget * parallel < sequence:
            yield (
                f"{key}={budget} cannot hold one sequence of data.max_prompt_length + data.max_response_length = {sequence} "
                f"tokens: set it to {-(-sequence // parallel)} or more"
            )


def check_lengths(config: Any, shape: Shape | None) -> Iterator[str]:
    """vLLM must be able to hold a whole sequence, and the model must know its positions."""
    sequence, length = sequence_tokens(config), config.actor_rollout_ref.rollout.max_model_len
    key = "actor_rollout_ref.rollout.max_model_len"
    if length is not None and length < sequence:
        yield f"{key}={length} is below data.max_prompt_length + data.max_response_length: set it to {sequence}"
    if shape is not None and max(sequence, length or 0) > shape.max_positions:
        yield (
            f"data.max_prompt_length + data.max_response_length = {sequence} (and {key}={length}) must not exceed the model's "
            f"{shape.max_positions} positions"
        )


def check_parallelism(config: Any, shape: Shape | None) -> Iterator[str]:
    """Sizes that must divide others."""
    model = config.actor_rollout_ref
    gpus = config.trainer.n_gpus_per_node * config.trainer.nnodes
    tensor, parallel = model.rollout.tensor_model_parallel_size, model.actor.ulysses_sequence_parallel_size
    if gpus % tensor:
        yield f"actor_rollout_ref.rollout.tensor_model_parallel_size={tensor} does not divide the {gpus} GPUs"
    if gpus % parallel:
        yield f"actor_rollout_ref.actor.ulysses_sequence_parallel_size={parallel} does not divide the {gpus} GPUs"
    if shape is not None:
        for key, size in (
            ("rollout.tensor_model_parallel_size", tensor),
            ("actor.ulysses_sequence_parallel_size", parallel),
        ):
            if shape.heads % size:
                yield f"actor_rollout_ref.{key}={size} does not divide the model's {shape.heads} attention heads"
    samples = model.actor.ppo_mini_batch_size * model.rollout.n
    workers = gpus // parallel
    if workers and samples % workers:
        yield (
            f"actor_rollout_ref.actor.ppo_mini_batch_size × rollout.n = {samples} samples cannot be spread evenly over "
            f"{workers} training workers: make it a multiple"
        )


def check_lora(config: Any, *, critic: bool) -> Iterator[str]:
    """What verl's LoRA cannot do."""
    rollout = config.actor_rollout_ref.rollout
    if config.actor_rollout_ref.model.lora_rank > 0 and rollout.layered_summon and "dummy" in rollout.load_format:
        yield (
            f"actor_rollout_ref.rollout.load_format={rollout.load_format}: with LoRA and layered_summon vLLM must load the base "
            "model itself: set it to safetensors"
        )
    if critic and config.critic.model.lora_rank > 0:
        yield (
            f"critic.model.lora_rank={config.critic.model.lora_rank}: verl cannot put adapters on a critic; set 0, and "
            "critic.fsdp.offload_policy=true if memory is short"
        )


def check_fused_kernels(config: Any, shape: Shape) -> Iterator[str]:
    """verl reads the output embedding past FSDP2, which has sharded it where it is a matrix of its own."""
    model = config.actor_rollout_ref.model
    if model.use_fused_kernels and config.actor_rollout_ref.actor.strategy == "fsdp2" and not shape.tied:
        yield (
            "actor_rollout_ref.model.use_fused_kernels=true fails under fsdp2 for a model whose input and output embeddings are "
            'two matrices ("mixed torch.Tensor and DTensor" at the first log-prob): set it to false'
        )
