r"""The layouts that people publish questions in: where the question is, and where the gold.

A layout is recognised from a record's keys, never from a file's name. Keys are compared in lower case (AIME 2024 has ``Problem``
and ``Answer``). The table of docs/data.md is written from :data:`LAYOUTS`. Deliberately left out: what a gold says
(:mod:`rlvr.verify.gold`), and layouts whose answers are code, proofs or pictures; those are refused with a line that says so.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rlvr.records import DataError, names
from rlvr.verify.gold import MISSING

QUESTION = ("problem", "question", "query", "prompt", "problem_text", "question_text", "input")
ANSWER = (
    "expected_answer",
    "final_answer",
    "gt_answer",
    "gold_answer",
    "reference_answer",
    "ground_truth",
    "correct_answer",
    "answer",
    "target",
    "gold",
    "gt",
)
SOLUTION = ("solution", "gt_cot", "generated_solution", "rationale")
CHOICES = ("choices", "options", "endings")
# Keys of a file of samples: it has questions and golds too, and would be taken for a data set.
SAMPLES = (
    {"resps", "doc"},
    {"generation", "predicted_answer"},
    {"response", "label"},
    {"input", "output", "gts"},
    {"completion", "reward"},
    {"pred", "score"},
    {"parsed_answer", "gold_answer"},
)


@dataclass(frozen=True)
class Raw:
    """What a layout finds in a record; ``key`` is where the gold was."""

    prompt: Any
    gold: Any
    key: str
    data_source: Any = None
    extra: Any = None


@dataclass(frozen=True)
class Layout:
    """One way to write a question.

    Attributes:
        name: as docs/data.md calls it.
        sets: data sets in this layout, or programs that write it.
        question, gold: where they are, in words.
        read: what it finds in a record, or None if the record has another layout.
    """

    name: str
    sets: str
    question: str
    gold: str
    read: Callable[[Any], Raw | None]


def read_layout(record: Any) -> Raw:
    """The first layout that fits.

    Raises:
        DataError: if none does; names everything that is missing.
    """
    if any(wanted <= _lower(record).keys() for wanted in SAMPLES):
        raise DataError(
            f"is a sample that a model wrote, not a question ({names(record)})",
            remedy="such files are for calculate_metrics",
        )
    for layout in LAYOUTS:
        raw = layout.read(record)
        if raw is not None:
            return raw
    raw = _without_a_gold(record)
    if raw is not None:
        return raw
    raise _nothing_fits(record)


def _verl(record: Any) -> Raw | None:
    keys = _lower(record)
    model = _unpacked(keys.get("reward_model"))
    if not isinstance(model, Mapping) or "prompt" not in keys:
        return None
    if "ground_truth" not in model:
        raise DataError(f"has no ground_truth ({names(model)})", key="reward_model")
    return Raw(
        keys["prompt"],
        model["ground_truth"],
        "reward_model.ground_truth",
        keys.get("data_source"),
        keys.get("extra_info"),
    )


def _conversation(record: Any) -> Raw | None:
    """Open-Reasoner-Zero: a list of turns, the last of which has the gold."""
    if isinstance(record, Mapping):
        record = next((record[key] for key in ("conversations", "conversation") if record.get(key) is not None), None)
        if record is None:
            return None
        if not isinstance(record, list):
            raise DataError("is no list of turns", key="conversations")
    if not isinstance(record, list):
        return None
    if not record or not all(isinstance(turn, Mapping) for turn in record):
        raise DataError(
            "is a list, but not of turns (from, value)", remedy="a record is an object with problem and answer"
        )
    asked = [turn for turn in record if turn.get("from", turn.get("role")) in ("human", "user")]
    told = [turn for turn in record if turn.get("from", turn.get("role")) in ("assistant", "gpt")]
    if len(asked) != 1 or len(told) != 1:
        raise DataError(f"has {len(asked)} turns of a human and {len(told)} of an assistant; one of each is a question")
    question = asked[0].get("value", asked[0].get("content"))
    if told[0].get("ground_truth") is not None:
        return Raw(question, told[0]["ground_truth"], "ground_truth")
    return Raw(question, _only_boxed(told[0].get("value", told[0].get("content"))), "the assistant's turn")


def _verification(record: Any) -> Raw | None:
    """SYNTHETIC-2 and INTELLECT-2: what a verifier needs is JSON in a column."""
    keys = _lower(record)
    info = _unpacked(keys.get("verification_info"))
    if not isinstance(info, Mapping) or "prompt" not in keys:
        return None
    if "ground_truth" not in info:
        raise DataError("has no ground_truth: this is no question in mathematics", key="verification_info")
    return Raw(keys["prompt"], info["ground_truth"], "verification_info.ground_truth", keys.get("data_source"))


def _answered(record: Any) -> Raw | None:
    keys = _lower(record)
    question = _first(keys, QUESTION)
    answer = _first(keys, ANSWER)
    if question is None or answer is None:
        return None
    return Raw(_with_choices(keys, question), keys[answer], answer, keys.get("data_source"))


def _solved(record: Any) -> Raw | None:
    keys = _lower(record)
    question = _first(keys, QUESTION)
    solution = _first(keys, SOLUTION)
    if question is None or solution is None:
        return None
    return Raw(_with_choices(keys, question), _only_boxed(keys[solution]), solution, keys.get("data_source"))


def _without_a_gold(record: Any) -> Raw | None:
    """A question whose gold is there and empty: of a few of them a file is warned, not refused."""
    keys = _lower(record)
    question = _first(keys, QUESTION)
    gold = next((key for key in (*ANSWER, *SOLUTION) if key in keys), None)
    if question is None or gold is None:
        return None
    return Raw(keys[question], keys[gold], gold, keys.get("data_source"))


def _only_boxed(solution: Any) -> Any:
    """A record, so that prose without a box is no gold."""
    if isinstance(solution, (list, tuple)):
        solution = solution[-1] if solution else None
    return {"solution": solution} if isinstance(solution, str) and "####" not in solution else solution


def _with_choices(keys: Mapping[str, Any], question: str) -> Any:
    """A question whose choices stand beside it cannot be answered without them."""
    choices = _first(keys, CHOICES)
    text = keys[question]
    if choices is None or not isinstance(text, str):
        return text
    offered = keys[choices]
    if isinstance(offered, str):
        return text if offered.strip() in text else f"{text}\n{offered}"
    if not isinstance(offered, (list, tuple)) or not all(isinstance(one, str) for one in offered):
        raise DataError("is no list of texts", key=choices)
    lettered = [
        one if one[:2] in (f"{letter})", f"{letter}.") else f"{letter}. {one}"
        for letter, one in zip("ABCDEFGHIJ", offered)
    ]
    return "\n".join([text, *lettered])


def _lower(record: Any) -> Mapping[str, Any]:
    if not isinstance(record, Mapping):
        return {}
    return {str(key).strip().lower(): value for key, value in record.items()}


def _first(keys: Mapping[str, Any], wanted: tuple[str, ...]) -> str | None:
    """The first key that has something; a gold that only says "not found" is nothing."""
    absent = frozenset() if wanted is QUESTION else MISSING
    return next((key for key in wanted if _there(keys.get(key), absent)), None)


def _there(value: Any, absent: frozenset[str] = frozenset()) -> bool:
    if value is None or (isinstance(value, float) and value != value):
        return False
    if isinstance(value, str):
        return bool(value.strip()) and value.strip() not in absent
    return not (isinstance(value, (list, tuple, dict)) and not value)


def _unpacked(value: Any) -> Any:
    """A column's value; where that is text, the JSON in it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _nothing_fits(record: Any) -> DataError:
    keys = _lower(record)
    if not keys:
        return DataError(f"is no question: {names(record)}", remedy="a record is an object with problem and answer")
    missing = []
    if _first(keys, QUESTION) is None:
        missing.append("a question (prompt, problem or question)")
    if _first(keys, (*ANSWER, *SOLUTION)) is None:
        missing.append("a gold answer (reward_model.ground_truth, answer, final_answer, or a solution with a box)")
    empty = [key for key in (*QUESTION, *ANSWER, *SOLUTION) if key in keys and not _there(keys[key])]
    said = f"; empty: {', '.join(empty)}" if empty else ""
    return DataError(f"misses {' and '.join(missing)}{said} ({names(record)})")


LAYOUTS = (
    Layout(
        "verl",
        "verl's own parquet files: the paper's, GSM8K and MATH-lighteval of verl's examples, DAPO-Math-17k, Skywork-OR1, Eurus-2, "
        "SimpleRL-Zoo, Guru; this project's",
        "`prompt`, messages or text",
        "`reward_model.ground_truth`",
        _verl,
    ),
    Layout(
        "conversation",
        "Open-Reasoner-Zero, files of turns with `from` and `value`",
        "the human's turn",
        "`ground_truth` of the assistant's turn, else the last box of it",
        _conversation,
    ),
    Layout(
        "verification_info",
        "SYNTHETIC-2, INTELLECT-2",
        "`prompt`",
        "`ground_truth` in `verification_info`",
        _verification,
    ),
    Layout(
        "answer",
        "MATH-500, GSM8K (`… #### 72`), AIME 2024 and 2025 in their variants, AMC 23, MathArena, Omni-MATH, OpenR1-Math, "
        "NuminaMath-1.5, OlympiadBench (`final_answer`), DeepScaleR, DeepMath, Big-Math, POLARIS, "
        "OpenMathReasoning (`expected_answer`), Minerva",
        "the first of " + ", ".join(f"`{key}`" for key in QUESTION),
        "the first that is not empty of " + ", ".join(f"`{key}`" for key in ANSWER),
        _answered,
    ),
    Layout(
        "solution",
        "MATH of Hendrycks et al., NuminaMath-CoT, AIME 2024 of math-ai",
        "as above",
        "the last box of " + ", ".join(f"`{key}`" for key in SOLUTION) + "; without a box there is no gold",
        _solved,
    ),
)
