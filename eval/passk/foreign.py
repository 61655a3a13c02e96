"""Samples that other programs wrote, record by record: lm-eval, NeMo-Skills, verifiers and prime-rl, Qwen2.5-Math, verl, MathArena;
and those that training keeps (:mod:`rlvr.sample_files`).

A layout is recognised from a record's keys. It says which column it took for what, so that a figure names what it stands on. What
is no verdict of 0 or 1 becomes a null label, never a wrong answer. Deliberately left out: reading files, and numbering samples
(:mod:`passk.samples`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.records import DataError, names

TEXTS = ("problem", "question", "query", "prompt", "input")
GOLDS = ("expected_answer", "final_answer", "answer", "target", "gt")
OURS = {"question_id", "generation_id", "label"}
VERDICTS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


@dataclass
class Sample:
    """One answer of a model; None is what the record does not say."""

    key: Any = None  # which question; its text if None
    generation: int | None = None
    question: str | None = None
    response: str | None = None
    gold: Any = None
    label: bool | None = None
    pred: str | None = None
    more: dict[str, Any] = field(default_factory=dict)  # fields of our own layout


@dataclass
class Taken:
    """Which column was taken for what, over a whole file; ``only`` are values that all records must share."""

    columns: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    only: dict[str, Any] = field(default_factory=dict)

    def column(self, role: str, name: str) -> None:
        self.columns.setdefault(role, name)

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def same(self, column: str, value: Any) -> None:
        """Refuse a file that mixes what no figure should mix.

        Raises:
            DataError: names the values.
        """
        first = self.only.setdefault(column, value)
        if first != value:
            raise DataError(
                f"the file mixes {column} {first!r} and {value!r}",
                key=column,
                remedy="split it, and name one of the parts",
            )


@dataclass(frozen=True)
class Layout:
    """``fits`` recognises a record by its keys, ``read`` gives its samples."""

    name: str
    fits: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Taken], list[Sample]]


def layout_of(record: Any) -> Layout | None:
    """The layout of a record that is not ours, or None."""
    if not isinstance(record, Mapping) or record.keys() >= OURS:
        return None
    return next((layout for layout in LAYOUTS if layout.fits(record)), None)


def verdict(value: Any) -> bool | None:
    """0 and 1, true and false, as numbers or texts; anything else is no verdict."""
    return VERDICTS.get(str(value).strip().lower()) if isinstance(value, (bool, int, float, str)) else None


def text_of(value: Any) -> str | None:
    """A text, or the assistant's part of a list of messages."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and value and all(isinstance(turn, Mapping) for turn in value):
        told = [turn.get("content") for turn in value if turn.get("role", "assistant") == "assistant"]
        return "\n".join(one for one in told if isinstance(one, str)) or None
    return None


def asked(value: Any) -> str | None:
    """A text, or the last message of a prompt."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and value and isinstance(value[-1], Mapping):
        return value[-1].get("content") if isinstance(value[-1].get("content"), str) else None
    return None


def _lm_eval(record: Mapping[str, Any], taken: Taken) -> list[Sample]:
    kept = taken.only.setdefault("filter", record.get("filter"))
    if record.get("filter") != kept:
        taken.remark(f"only the filter {kept!r}; {record.get('filter')!r} is left out")
        return []
    responses = _flat(record.get("resps"))
    if not all(isinstance(one, str) for one in responses) or not responses:
        raise DataError("has no texts: the task compares likelihoods", key="resps")
    taken.column("response", "resps")
    doc = _mapping(record.get("doc"))
    question, column = _first(doc, TEXTS)
    taken.column("question", f"doc.{column}" if column else "arguments")
    gold, column = (record["target"], "target") if record.get("target") is not None else _first(doc, GOLDS)
    taken.column("gold", column or "nothing")
    label, metric = _metric(record)
    if len(responses) > 1 and metric:
        taken.remark(f"{metric} is one value for {len(responses)} responses, so no label is known: grade them again")
        label, metric = None, None
    taken.column("label", metric or "nothing")
    preds = _flat(record.get("filtered_resps"))
    if question is None:
        question = _argument(record.get("arguments"))
    return [
        Sample(record.get("doc_id"), None, question, one, gold, label, _text(preds[n]) if n < len(preds) else None)
        for n, one in enumerate(responses)
    ]


def _metric(record: Mapping[str, Any]) -> tuple[bool | None, str | None]:
    """The first metric that is 0 or 1."""
    listed = record.get("metrics") if isinstance(record.get("metrics"), Sequence) else ()
    for name in [*(str(one) for one in listed or ()), "exact_match", "math_verify", "extractive_match", "acc"]:
        found = verdict(record.get(name))
        if found is not None:
            return found, name
    return None, None


def _nemo(record: Mapping[str, Any], taken: Taken) -> list[Sample]:
    question, column = _first(record, TEXTS)
    taken.column("question", column or "nothing")
    taken.column("response", "generation")
    gold, column = _first(record, GOLDS)
    taken.column("gold", column or "nothing")
    label = None
    for name in ("symbolic_correct", "is_correct", "judge_correct", "judgement"):
        value = record.get(name)
        if name == "judgement" and isinstance(value, str):
            value = {"yes": True, "no": False}.get(
                value.lower().rpartition("judgement:")[2].strip(" .*\n").split(" ")[0]
            )
        label = verdict(value)
        if label is not None:
            taken.column("label", name)
            break
    more = {"tokens": record["num_generated_tokens"]} if isinstance(record.get("num_generated_tokens"), int) else {}
    key = ("row",)  # a file has each question once
    return [
        Sample(
            key, None, question, text_of(record["generation"]), gold, label, _text(record.get("predicted_answer")), more
        )
    ]


def _verifiers(record: Mapping[str, Any], taken: Taken) -> list[Sample]:
    info = _mapping(record.get("info"))
    gold = record.get("answer") if record.get("answer") not in (None, "") else info.get("answer")
    for role, column in (("question", "prompt"), ("response", "completion"), ("gold", "answer"), ("label", "reward")):
        taken.column(role, column)
    label = verdict(record.get("reward"))
    if label is None:
        taken.remark(f"a reward of {record.get('reward')!r} is no verdict: its label is null")
    key = record.get("example_id", record.get("id"))
    cut = record.get("is_truncated")
    more = {"finish_reason": "length" if cut else "stop"} if isinstance(cut, bool) else {}
    return [Sample(key, None, asked(record.get("prompt")), text_of(record["completion"]), gold, label, None, more)]


def _qwen(record: Mapping[str, Any], taken: Taken) -> list[Sample]:
    codes = record["code"] if isinstance(record["code"], list) else [record["code"]]
    scores, preds = _list(record.get("score"), len(codes)), _list(record.get("pred"), len(codes))
    question, column = _first(record, ("question", *TEXTS))
    gold, gold_column = _first(record, ("gt", *GOLDS))
    for role, name in (("question", column), ("response", "code"), ("gold", gold_column), ("label", "score")):
        taken.column(role, name or "nothing")
    return [
        Sample(record.get("idx"), number, question, text_of(code), gold, verdict(scores[number]), _text(preds[number]))
        for number, code in enumerate(codes)
    ]


def _verl(record: Mapping[str, Any], taken: Taken) -> list[Sample]:
    taken.same("step", record.get("step"))
    for role, column in (("question", "input"), ("response", "output"), ("gold", "gts")):
        taken.column(role, column)
    label = None
    for name in ("acc", "score", "reward"):
        label = verdict(record.get(name))
        if label is not None:
            taken.column("label", name)
            break
        if record.get(name) is not None:
            taken.remark(f"{name} {record[name]!r} is no verdict")
    uid = record.get("uid")
    key = uid.rsplit("_", 2)[0] if isinstance(uid, str) and uid.count("_") >= 2 else None
    more: dict[str, Any] = {}
    if verdict(record.get("timeout")) is True:
        more["error"] = "timeout"
    elif verdict(record.get("error")) is True:
        more["error"] = "error: of the grader, in training"
    question = asked(record["input"])
    return [
        Sample(
            key, None, question, text_of(record["output"]), record.get("gts"), label, _text(record.get("pred")), more
        )
    ]


def _run(record: Mapping[str, Any], taken: Taken) -> list[Sample]:
    taken.same("step", record.get("step"))
    for role, column in (("question", "question"), ("response", "answer"), ("gold", "gold"), ("label", "correct")):
        taken.column(role, column)
    more = {name: record.get(name) for name in ("kind", "tokens", "finish_reason")}
    answer, label = text_of(record["answer"]), verdict(record["correct"])
    return [
        Sample(
            record["group"],
            None,
            asked(record["question"]),
            answer,
            record["gold"],
            label,
            _text(record["extracted"]),
            more,
        )
    ]


def _matharena(record: Mapping[str, Any], taken: Taken) -> list[Sample]:
    taken.same("model_name", record.get("model_name"))
    columns = (("question", "problem"), ("response", "answer"), ("gold", "gold_answer"), ("label", "correct"))
    for role, column in columns:
        taken.column(role, column)
    more = {"tokens": record["output_tokens"]} if isinstance(record.get("output_tokens"), int) else {}
    return [
        Sample(
            record.get("problem_idx"),
            None,
            asked(record.get("problem")),
            text_of(record.get("answer")),
            record.get("gold_answer"),
            verdict(record.get("correct")),
            _text(record.get("parsed_answer")),
            more,
        )
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _flat(value: Any) -> list[Any]:
    return [item for one in value for item in _flat(one)] if isinstance(value, list) else [value]


def _list(value: Any, length: int) -> list[Any]:
    """One value for each sample; a single one where there is one sample."""
    values = value if isinstance(value, list) else [value]
    if len(values) != length and value is not None:
        raise DataError(f"has {len(values)} values for {length} samples", key="score or pred")
    return values if value is not None else [None] * length


def _first(record: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, str | None]:
    for column in columns:
        if record.get(column) is not None:
            return record[column], column
    return None, None


def _argument(arguments: Any) -> str | None:
    """The prompt in lm-eval's ``arguments``."""
    while isinstance(arguments, (Mapping, list)) and arguments:
        arguments = next(iter(arguments.values())) if isinstance(arguments, Mapping) else arguments[0]
    return arguments if isinstance(arguments, str) else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


LAYOUTS = (
    Layout("lm-eval (--log_samples)", lambda r: "doc_id" in r and "resps" in r, _lm_eval),
    Layout(
        "samples of a training run",
        lambda r: {"question_id", "group", "extracted", "gold", "correct"} <= r.keys(),
        _run,
    ),
    Layout("MathArena outputs", lambda r: {"gold_answer", "parsed_answer", "correct"} <= r.keys(), _matharena),
    Layout("verl dump", lambda r: {"input", "output"} <= r.keys() and bool({"gts", "score"} & r.keys()), _verl),
    Layout("Qwen2.5-Math evaluation", lambda r: "code" in r and bool({"pred", "score", "gt"} & r.keys()), _qwen),
    Layout(
        "NeMo-Skills",
        lambda r: "generation" in r and bool({"expected_answer", "predicted_answer"} & r.keys()),
        _nemo,
    ),
    Layout("verifiers (prime-rl)", lambda r: {"completion", "reward"} <= r.keys(), _verifiers),
)


def nothing_fits(record: Any) -> str:
    """Why a record is no sample, with everything that it misses to be one of ours."""
    if not isinstance(record, Mapping):
        return f"is no sample: {names(record)}"
    missing = sorted(OURS - record.keys())
    known = ", ".join(layout.name for layout in LAYOUTS)
    return f"misses {', '.join(missing)} ({names(record)}), and is not of another known layout: {known}"
