"""What counts as an answer, and what counts as equal, where mathematics leaves it open; and the stamp that says so.

The default is strict: every name in :data:`TASTES` is an equivalence that some people accept and we do not, unless it is
named in ``Policy.accept``.
"""

from dataclasses import asdict, dataclass
from typing import Any

NAME = "rlvr.verify"
VERSION = "2"  # raise it whenever any verdict may change

EXTRACTIONS = {
    "boxed": "the last \\boxed{…} or \\fbox{…} that is not empty; all of the last paragraph where the gold has several answers",
    "answer_tag": "the last <answer>…</answer>",
    "hashes": "what follows the last ####, as in GSM8K",
    "final_answer": "the sentence after the last 'final answer'",
    "answer_is": "the sentence after the last 'the answer is' or 'answer:'",
    "last_number": "the last number or formula, whole",
}

TASTES = {
    "unclosed_box": "the rest of the line after a \\boxed{ that is never closed is an answer",
    "bracket_style": "[1, 2] for (1, 2); also blurs open and closed intervals",
    "bare_tuple": "1, 2 for (1, 2) and the reverse",
    "percent_fraction": "0.17 for 17\\%",
    "rounded": "a decimal of six or more significant digits for the number that rounds to it",
    "equation_side": "x^2 + 2 for y = x^2 + 2",
    "equation_scaled": "-x - y = 0 for x + y = 0, and any other multiple",
    "inequality_interval": "1 < x \\le 2 for (1, 2]",
    "vector_tuple": "(1, 2) for a row or column vector",
    "base_dropped": "506 for 506_7",
    "base_value": "251 for 506_7",
}


@dataclass(frozen=True)
class Policy:
    """What to extract (in this order of preference) and which matters of taste to accept.

    Raises:
        ValueError: names what is unknown and what is known.
    """

    extraction: tuple[str, ...] = tuple(EXTRACTIONS)
    accept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("extraction", self.extraction, tuple(EXTRACTIONS))
        _check("accept", self.accept, tuple(TASTES))
        if not self.extraction:
            raise ValueError(f"extraction is empty: choose from {', '.join(EXTRACTIONS)}")


@dataclass(frozen=True)
class Stamp:
    """Which grader gave a verdict; stored wherever verdicts are."""

    name: str
    version: str
    policy: Policy

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        accepted = f" +{'+'.join(self.policy.accept)}" if self.policy.accept else ""
        return f"{self.name}/{self.version} {'>'.join(self.policy.extraction)}{accepted}"


def stamp(policy: Policy | None = None) -> Stamp:
    return Stamp(NAME, VERSION, policy or Policy())


def _check(key: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"{key}: unknown {', '.join(map(repr, unknown))}; known: {', '.join(known)}")


BOXED_ONLY = Policy(extraction=("boxed",))
