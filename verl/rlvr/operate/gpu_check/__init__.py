"""Does a GPU do what was only read and computed so far?  ``scripts/gpu_check`` (:mod:`rlvr.operate.gpu_check.__main__`).

One step a module; each yields :class:`Check` objects as they become known, so that a step that is stopped keeps what it found.
Models are random, of real shapes; nothing is downloaded. Deliberately left out: whether a model learns, which takes hours.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Device = Literal["cuda", "cpu"]


@dataclass(frozen=True)
class Check:
    """One line. ``value`` and ``bound`` are what was measured and what passes; ``passed`` None: a figure, not a criterion."""

    what: str
    passed: bool | None
    value: float | str | None = None
    bound: str = ""

    def record(self) -> dict[str, Any]:
        return asdict(self)


def below(what: str, value: float, bound: float) -> Check:
    """Passes below ``bound``; a value that is not a number does not."""
    return Check(what, value < bound, value, f"< {bound:g}")


def above(what: str, value: float, bound: float) -> Check:
    return Check(what, value > bound, value, f"> {bound:g}")


def figure(what: str, value: float | str) -> Check:
    return Check(what, None, value)


@dataclass(frozen=True)
class Shape:
    """Of a Qwen2 model with two embedding matrices."""

    hidden: int
    layers: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int


@dataclass(frozen=True)
class Load:
    """One training step: questions × samples, tokens of an answer at most, questions of a mini-batch."""

    shape: Shape
    questions: int
    samples: int
    tokens: int
    mini_batch: int


@dataclass(frozen=True)
class Sizes:
    """What the steps work on."""

    small: Load  # 0.5B
    large: Load  # 7B
    several: Load  # 1.5B, on two GPUs or more
    methods: tuple[str, ...]
    steps: int  # of each training run
    samples_at_once: tuple[int, ...]  # max_num_seqs
    transfer_gib: float  # of the bandwidth measurement


QWEN_7B = Shape(3584, 28, 18944, 28, 4, 152064)
QWEN_1_5B = Shape(1536, 28, 8960, 12, 2, 151936)
QWEN_0_5B = Shape(896, 24, 4864, 14, 2, 151936)
TINY = Shape(64, 2, 128, 2, 1, 320)
ON_GPU = Sizes(
    small=Load(QWEN_0_5B, 64, 8, 512, 32),
    large=Load(QWEN_7B, 128, 8, 1024, 64),
    several=Load(QWEN_1_5B, 64, 8, 512, 32),
    methods=("psr_nsr", "grpo", "ppo"),
    steps=3,
    samples_at_once=(256, 512, 1024),
    transfer_gib=4.0,
)
_LITTLE = Load(TINY, 4, 4, 12, 2)
ON_CPU = Sizes(_LITTLE, _LITTLE, _LITTLE, ("psr_nsr",), 3, (16,), 0.0625)


@dataclass(frozen=True)
class Context:
    """What a step is told."""

    device: Device
    gpus: int
    folder: Path  # for models, runs and records; the steps share it

    @property
    def sizes(self) -> Sizes:
        return ON_GPU if self.device == "cuda" else ON_CPU
