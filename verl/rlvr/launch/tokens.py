"""``${token_budget:N}`` in YAML: a micro-batch budget of N tokens a GPU, and never less than one whole sequence.

verl refuses a micro-batch whose budget is smaller than its longest sequence, but only when it meets one, hours into a run. With
sequence parallelism a sequence is spread over several GPUs.
"""

import math
from typing import Any


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
