"""Memory of one GPU, by part and by phase, counted from the model's shape and the settings.

Parts follow verl's FSDP2 engine: parameters are sharded in ``model_dtype`` (float32 by default, the master copy), a layer is
gathered in bf16 to be computed, gradients are reduced in float32 and sharded like the parameters, and Adam keeps two more values
a parameter. ``offload_policy`` keeps all of these in main memory; ``param_offload`` and ``optimizer_offload`` only move them away
between phases. vLLM takes its share while it generates and sleeps otherwise. The reference model is always in main memory.

It is an upper estimate: parts of a phase are added although some do not peak at the same instant. What is assumed and not counted
is in the constants. It has not been compared with a run on a GPU.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rlvr.launch.shapes import Shape

GIB = 2**30
COMPUTE = 2  # bytes of bf16, in which layers are computed, and of vLLM's weights and KV cache
REDUCE = 4  # bytes of float32, in which gradients are reduced
FUSED_CHUNK = 512  # tokens at a time in verl's fused linear and log-prob
PROCESSES = 3.0 * GIB  # CUDA contexts, NCCL and allocator slack of the two processes on a GPU: assumed
VLLM_RUNTIME = 3.0 * GIB  # of vLLM's share: activations, sampler and CUDA graphs: assumed
LOADED = 4  # bytes of float32, in which verl reads a model that is trained
Parts = dict[str, float]  # bytes


@dataclass(frozen=True)
class Engine:
    """A model that is trained: the actor or the critic."""

    parameters: int
    trainable: int  # all of them, or LoRA's adapters
    logits: int  # width of the output that is held for every token: the vocabulary; 1 for the critic
    master_bytes: int  # of a parameter, its gradient, and each of Adam's values
    tokens: int  # budget of a micro-batch that is trained on
    inference_tokens: int  # budget of a micro-batch of log-probs or values
    entropy: bool  # an entropy bonus, whose gradient needs the softmax of every token
    checkpointing: bool  # gradient checkpointing
    fused: bool  # log-probs are computed without holding the logits
    foreach: bool  # the optimizer makes a temporary copy of every parameter
    offload_policy: bool
    param_offload: bool
    optimizer_offload: bool
    deferred_sync: bool  # gradients of all micro-batches are added up before they are sharded and moved
    tensors: tuple[int, ...]  # parameters of each matrix and vector
    trainable_tensors: tuple[int, ...]


@dataclass(frozen=True)
class Rollout:
    """vLLM's side."""

    share: float  # gpu_memory_utilization
    tensor_parallel: int
    sequence: int  # tokens of the longest sequence
    bucket: float  # bytes of the buffer through which new weights pass
    keeps_weights: bool  # level-1 sleep: weights wait in main memory (LoRA)


@dataclass(frozen=True)
class Settings:
    """Everything that the estimate depends on."""

    shape: Shape
    shards: int  # GPUs that share one copy of the parameters
    actor: Engine
    critic: Engine | None
    reference_bytes: int  # of a parameter of the reference model; 0 where there is none
    least_tokens: int  # a budget must hold one whole sequence
    rollout: Rollout


def resident(engine: Engine, shards: int, *, between_phases: bool) -> Parts:
    """Bytes of the states that stay on the GPU, during the engine's own update or between phases."""
    away_weights = engine.offload_policy or (between_phases and engine.param_offload)
    away_optimizer = engine.offload_policy or (between_phases and engine.optimizer_offload)
    weights, states = engine.parameters * engine.master_bytes, 2 * engine.trainable * engine.master_bytes
    return {
        "weights": 0 if away_weights else weights / shards,
        "optimizer": 0 if away_optimizer else states / shards,
    }


def pinned(tensors: Iterable[int], size: int, shards: int) -> float:
    """Bytes of pinned memory on each GPU's side for ``tensors`` (parameters of each) of ``size`` bytes a parameter.

    torch's allocator of pinned memory takes the next power of two for each tensor (CachingHostAllocator in aten/src/ATen/core).
    """
    return sum(1 << (math.ceil(count / shards) * size - 1).bit_length() for count in tensors)


def gathered(shape: Shape) -> float:
    """Bytes of the parameters that are gathered to be computed: a layer, the next one, and an embedding."""
    return COMPUTE * (2 * shape.layer + shape.embedding)


def layer_activations(shape: Shape) -> float:
    """Bytes a token of what one layer keeps for its backward pass, with FlashAttention.

    Two RMSNorms in float32 and the residuals, queries with their rotary copies and the attention's output, keys and values, and
    four tensors of the gated MLP.
    """
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return 24 * shape.hidden + 6 * query + 8 * key + 8 * shape.intermediate


def activations(shape: Shape, engine: Engine) -> float:
    """Bytes of activations at the budget, without logits.

    With checkpointing a layer keeps its input; one layer at a time is computed again, and its gradients flow through the MLP.
    """
    one = layer_activations(shape)
    if not engine.checkpointing:
        return engine.tokens * shape.layers * one
    gradients = 4 * shape.intermediate + 4 * shape.hidden
    return engine.tokens * (shape.layers * COMPUTE * shape.hidden + one + gradients)


def logits(engine: Engine, *, training: bool) -> float:
    """Bytes of everything as wide as the vocabulary.

    bf16 logits; training adds their gradient, and for the entropy its softmax and gradient. Log-probs of old samples come with the
    entropy, but without gradients.
    """
    if engine.fused:
        return FUSED_CHUNK * engine.logits * 16  # logits, softmax, log-probs and gradient of a chunk, in float32
    if not training:
        return engine.inference_tokens * engine.logits * COMPUTE * 3
    return engine.tokens * engine.logits * COMPUTE * (4 if engine.entropy else 2)


def update(settings: Settings, engine: Engine, other: Engine | None) -> Parts:
    """While ``engine`` is updated; ``other`` waits and vLLM sleeps."""
    shape, shards = settings.shape, settings.shards
    own = resident(engine, shards, between_phases=False)
    shard = 0 if engine.offload_policy else engine.trainable * engine.master_bytes / shards
    largest = min(engine.trainable, max(shape.layer, shape.embedding))
    computing = activations(shape, engine) + logits(engine, training=True) + gathered(shape)
    reducing = largest * (COMPUTE + REDUCE)
    # FSDP2 adds gradients up in the precision in which it reduces them, whole on every GPU.
    deferred = engine.trainable * REDUCE if engine.deferred_sync else 0
    stepping = shard if engine.foreach else 0
    # The optimizer steps when activations are gone, so only the larger of the two counts.
    working: Parts = {
        "activations": activations(shape, engine),
        "logits": logits(engine, training=True),
        "gathered layers": gathered(shape) + reducing,
    }
    if stepping > computing + reducing:
        working = {"optimizer's temporary copy": stepping}
    gradients = {"gradients": shard, "deferred gradients": deferred}
    return {**own, **gradients, **working, **waiting(other, shards), "processes": PROCESSES}


def log_probs(settings: Settings) -> Parts:
    """While the actor computes log-probs, without gradients."""
    actor, shape = settings.actor, settings.shape
    own = resident(actor, settings.shards, between_phases=False)
    own["optimizer"] = resident(actor, settings.shards, between_phases=True)["optimizer"]
    return {
        **own,
        "activations": actor.inference_tokens * layer_activations(shape),
        "logits": logits(actor, training=False),
        "gathered layers": gathered(shape),
        **waiting(settings.critic, settings.shards),
        "processes": PROCESSES,
    }


def waiting(engine: Engine | None, shards: int) -> Parts:
    """The states of an engine that is not at work."""
    return {"the other model": sum(resident(engine, shards, between_phases=True).values())} if engine else {}


def rollout(settings: Settings, gpu: float) -> Parts:
    """While vLLM generates; ``gpu`` is the memory of the GPU in bytes."""
    weights = rollout_weights(settings)
    own = resident(settings.actor, settings.shards, between_phases=True)
    return {
        "rollout weights": weights,
        "vLLM's runtime": VLLM_RUNTIME,
        "KV cache": max(0.0, kv_cache(settings, gpu)),
        **own,
        **waiting(settings.critic, settings.shards),
        "processes": PROCESSES,
    }


def weight_sync(settings: Settings) -> Parts:
    """While new weights go to vLLM, whose KV cache is not there yet."""
    shape, actor = settings.shape, settings.actor
    lora = actor.trainable < actor.parameters
    own = resident(actor, settings.shards, between_phases=not lora)  # adapters are collected from a loaded model
    own["optimizer"] = resident(actor, settings.shards, between_phases=True)["optimizer"]
    tensor = 0 if lora else shape.embedding * actor.master_bytes  # gathered whole; adapters are gathered in main memory
    return {
        "rollout weights": rollout_weights(settings),
        "vLLM's runtime": VLLM_RUNTIME,
        "bucket and one tensor": settings.rollout.bucket + tensor,
        **own,
        **waiting(settings.critic, settings.shards),
        "processes": PROCESSES,
    }


def rollout_weights(settings: Settings) -> float:
    """Bytes of vLLM's copy of the model on one GPU."""
    adapters = settings.actor.trainable if settings.actor.trainable < settings.actor.parameters else 0
    return COMPUTE * (settings.shape.parameters + adapters) / settings.rollout.tensor_parallel


def kv_cache(settings: Settings, gpu: float) -> float:
    """Bytes that are left of vLLM's share for the KV cache; negative if the share is too small."""
    return settings.rollout.share * gpu - rollout_weights(settings) - VLLM_RUNTIME


def kv_bytes_per_token(shape: Shape, tensor_parallel: int) -> float:
    """Keys and values of all layers, on one GPU; heads are copied where there are fewer than GPUs."""
    return 2 * shape.layers * max(1, math.ceil(shape.kv_heads / tensor_parallel)) * shape.head_dim * COMPUTE


@dataclass(frozen=True)
class Estimate:
    """Bytes of each part in each phase, and what the KV cache and main memory hold."""

    phases: dict[str, Parts]
    kv_tokens: int
    sequences: float  # of full length, at once in the KV cache
    sequence_bytes: float  # of the KV cache, for one of them
    host: float  # bytes in main memory for each GPU
    loading: float  # bytes in main memory for each GPU while the models are read, for a moment
    gpu: float  # bytes of the GPU

    def peak(self, phase: str) -> float:
        return sum(self.phases[phase].values())

    @property
    def worst(self) -> str:
        """The phase with the highest peak."""
        return max(self.phases, key=self.peak)

    @property
    def shortage(self) -> float:
        """Bytes that are missing: in the worst phase, and in the KV cache for one whole sequence."""
        return max(0.0, self.peak(self.worst) - self.gpu) + max(0.0, 1 - self.sequences) * self.sequence_bytes

    @property
    def fits(self) -> bool:
        return self.shortage == 0


def estimate(settings: Settings, gpu: float) -> Estimate:
    """The memory of one GPU of ``gpu`` bytes."""
    phases = {
        "rollout": rollout(settings, gpu),
        "weights to vLLM": weight_sync(settings),
        "log-probs": log_probs(settings),
        "actor update": update(settings, settings.actor, settings.critic),
    }
    if settings.critic:
        phases["critic update"] = update(settings, settings.critic, settings.actor)
    per_token = kv_bytes_per_token(settings.shape, settings.rollout.tensor_parallel)
    tokens = max(0, math.floor(kv_cache(settings, gpu) / per_token))
    sequence = settings.rollout.sequence
    return Estimate(phases, tokens, tokens / sequence, sequence * per_token, host(settings), loading(settings), gpu)


def host(settings: Settings) -> float:
    """Bytes of main memory for each GPU: offloaded states, the reference model, the weights of a vLLM that sleeps.

    What moves to the GPU and back is pinned; Adam's values under ``offload_policy`` are not, they stay where they are.
    """
    shape, shards = settings.shape, settings.shards
    total = pinned(shape.tensors, settings.reference_bytes, shards) if settings.reference_bytes else 0
    for engine in filter(None, (settings.actor, settings.critic)):
        size = engine.master_bytes
        weights, trained = (pinned(some, size, shards) for some in (engine.tensors, engine.trainable_tensors))
        if engine.offload_policy:
            total += weights + trained + 2 * engine.trainable * size / shards
        else:
            total += weights if engine.param_offload else 0
            total += 2 * trained if engine.optimizer_offload else 0
    return total + (
        pinned(shape.tensors, COMPUTE, settings.rollout.tensor_parallel) if settings.rollout.keeps_weights else 0
    )


def loading(settings: Settings) -> float:
    """Bytes of main memory for each GPU while a model is read.

    One process reads it and sends it to the others, except where input and output embeddings are one matrix: there verl lets every
    process read all of it (``use_meta_tensor`` in verl/workers/engine/fsdp/transformer_impl.py).
    """
    readers = settings.shards if settings.shape.tied else 1
    return settings.shape.parameters * LOADED * readers / settings.shards
