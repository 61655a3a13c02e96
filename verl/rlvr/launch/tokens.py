"""Budgets of a micro-batch in YAML, never less than one whole sequence.

``${token_budget:N}``: N tokens a GPU. ``${cpu_token_budget:N}``: N tokens, or as many as the activations of this model leave in the
memory of a small machine.

verl refuses a micro-batch whose budget is smaller than its longest sequence, but only when it meets one, hours into a run. With
sequence parallelism a sequence is spread over several GPUs.
"""

import math
from typing import Any

from rlvr.launch import shapes
from rlvr.launch.memory import GIB, layer_activations

CPU_ACTIVATIONS = 2 * GIB  # bytes that a micro-batch on the CPU may keep for its backward pass
FLOAT32 = 2  # times the memory of bf16, which layer_activations counts


def sequence_tokens(config: Any) -> int:
    """Tokens of the longest sequence: prompt and response."""
    return int(config.data.max_prompt_length) + int(config.data.max_response_length)


def whole_sequence(*, _root_: Any) -> int:
    """The OmegaConf resolver of :func:`sequence_tokens`."""
    return sequence_tokens(_root_)


def token_budget(at_least: int, *, _root_: Any) -> int:
    """The OmegaConf resolver of ``${token_budget:N}``; ``_root_`` is the whole configuration."""
    parallel = int(_root_.actor_rollout_ref.actor.ulysses_sequence_parallel_size)
    return max(int(at_least), math.ceil(sequence_tokens(_root_) / parallel))


def cpu_token_budget(at_most: int, *, _root_: Any) -> int:
    """The OmegaConf resolver of ``${cpu_token_budget:N}``; N where nothing is known of the model's shape."""
    try:
        fields, _ = shapes.find_config(_root_.actor_rollout_ref.model.path)
        shape = shapes.shape_of(fields or {})
    except (OSError, ValueError):  # another check names what is wrong with it
        return max(int(at_most), sequence_tokens(_root_))
    fitting = CPU_ACTIVATIONS / (FLOAT32 * shape.layers * layer_activations(shape))
    return max(min(int(at_most), int(fitting)), sequence_tokens(_root_))
