"""Sampling settings, the paper's and SmolLM2's, one preset per base model (``--preset``).

Deliberately left out: guessing the preset from the model; a wrong prompt template costs tens of points and looks like a result.
"""

from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn; checks itself.

    Raises:
        ValueError: names the flag, the value and the way out.
    """

    prompt_template_type: str
    max_tokens: int
    num_generation: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1

    def __post_init__(self) -> None:
        if self.num_generation < 1 or self.max_tokens < 1:
            raise ValueError("--num_generation and --max_tokens must be at least 1")
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"--temperature {self.temperature} --top_p {self.top_p}: needs temperature >= 0 and 0 < top_p <= 1"
            )
        if self.temperature == 0 and self.num_generation > 1:
            raise ValueError(
                f"--temperature 0 draws the same answer {self.num_generation} times: raise it, or --num_generation 1"
            )


PRESETS = {
    "qwen2.5-math": Sampling("qwen", 4096, num_generation=256, temperature=0.6, top_p=0.95),
    "llama": Sampling("llama", 4096, num_generation=256, temperature=0.6, top_p=0.95),
    # the paper's, with answers as long as in training (configs/base_model/smollm2-135m.yaml)
    "smollm2": Sampling("smollm2", 128, num_generation=256, temperature=0.6, top_p=0.95),
    "qwen3": Sampling("qwen3_no_thinking", 32768, num_generation=64, temperature=0.7, top_p=0.8, top_k=20),
}


def sampling_of(preset: str | None, **flags: Any) -> Sampling:
    """The preset's settings with the flags that were given (not None) on top.

    Raises:
        ValueError: for an unknown preset, or without a preset when a flag that has no safe default is missing.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if preset is not None:
        if preset not in PRESETS:
            raise ValueError(f"--preset {preset}: choose one of {', '.join(PRESETS)}")
        return replace(PRESETS[preset], **given)
    needed = [field.name for field in fields(Sampling)[:2] if field.name not in given]
    if needed:
        raise ValueError(f"give --preset ({', '.join(PRESETS)}) or {' and '.join('--' + name for name in needed)}")
    return Sampling(**given)
