"""Questions of reasoning-gym's procedural tasks, in the layout of the other data sets.

    scripts/prepare_data --task chain_sum:max_terms=3,max_digits=2 --size 1024 --seed 1      # data/chain_sum/train.parquet …

Writes ``train.parquet`` with ``size`` questions, and ``test.parquet`` (held out) and ``tune.parquet`` (held out too, for choosing
settings) with as many, at most 512. No question is in two of them, or twice in one; every gold answer was graded right by the
verifier that grades the model. The same bytes come out for the same task and seed. Deliberately left out: curricula; mixtures
(name several files in ``data.train_files``).
"""

import contextlib
import difflib
import importlib.metadata
import io
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from rlvr.data.parquet import write
from rlvr.records import DataError
from rlvr.verify import verify_batch
from rlvr.verify.reasoning_gym import SOURCE, problem_with

HELD_OUT = 512  # questions of test and tune, at most
APART = 10_000_000  # a task's question i is made from seed + i: the questions of two seeds must not meet
PATIENCE = 20  # questions drawn for each that is wanted, before it is said that there are no more
BATCH = 64  # questions whose golds are graded together
OWN_FLAGS = {"seed": "--seed", "size": "--size"}


@dataclass(frozen=True)
class Task:
    """``name`` of reasoning-gym with the settings that differ from its defaults."""

    name: str
    settings: Mapping[str, Any]

    @property
    def text(self) -> str:
        settings = ",".join(f"{key}={json.dumps(value)}" for key, value in self.settings.items())
        return f"{self.name}:{settings}" if settings else self.name


@dataclass
class Dropped:
    """Questions that were made and not taken."""

    twice: int = 0
    gold_not_right: int = 0


def parse(text: str) -> Task:
    """``NAME`` or ``NAME:key=value,…``; a value is a JSON value or a bare word.

    Raises:
        DataError: names what is unknown or impossible, with what there is.
    """
    name, _, given = text.partition(":")
    if problem := problem_with(name):
        raise DataError(f"--task {text}: {problem}")
    known = _config(name)
    settings: dict[str, Any] = {}
    for part in filter(None, re.split(r",(?![^\[]*\])", given)):  # not the commas of a list
        key, equals, value = part.partition("=")
        if key in OWN_FLAGS:
            raise DataError(f"--task {text}: {key} is given as {OWN_FLAGS[key]}")
        if not equals or key not in known:
            close = difflib.get_close_matches(key, known, n=2)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise DataError(f"--task {text}: {part!r} is no key=value of {name}{hint} It has {_listed(known)}")
        settings[key] = _value(text, key, value, known[key])
    task = Task(name, settings)
    _dataset(task, seed=0, size=1)  # refuses values that do not fit together
    return task


def make(task: Task, size: int, seed: int, output: Path) -> None:
    """Write the three files into the folder ``output``, all or none of them, and say what was left out.

    Raises:
        DataError: if the task has too few different questions, or ``size`` or ``seed`` is out of range.
    """
    if size < 1 or seed < 0:
        raise DataError(f"--size {size} --seed {seed}: size must be 1 or more, seed 0 or more")
    held_out = min(size, HELD_OUT)
    sizes = {"test": held_out, "tune": held_out, "train": size}
    wanted = sum(sizes.values())
    dropped = Dropped()
    entries = list(tqdm(islice(_entries(task, seed, wanted, dropped), wanted), task.name, wanted, unit="question"))
    if len(entries) < wanted:
        raise DataError(
            f"--task {task.text}: among {PATIENCE * wanted} questions only {len(entries)} are different and gradable "
            f"({dropped.gold_not_right} golds were not graded right), but --size {size} needs {wanted}, held-out ones "
            "included: ask for less, or for larger numbers in the task's settings"
        )
    rest = iter(entries)
    for split, number in sizes.items():
        rows = [_row(task, entry, index, split) for index, entry in enumerate(islice(rest, number))]
        write(pa.Table.from_pylist(rows), output / f"{split}.parquet")
        print(f"{output / split}.parquet: {number} questions of {SOURCE}{task.name}, each gold graded right")
    print(
        f"left out: {dropped.twice} questions that were made twice, {dropped.gold_not_right} whose gold answer "
        "its own scoring does not take for right"
    )


def ground_truth(task: Task, entry: Mapping[str, Any]) -> dict[str, str]:
    """What the verifier needs, as texts: see :mod:`rlvr.verify.reasoning_gym`."""
    stored = {"config": dict(task.settings), "metadata": entry["metadata"]}
    return {
        "question": entry["question"],
        "target": entry["answer"],
        "entry": json.dumps(stored, ensure_ascii=False, sort_keys=True),
    }


def _entries(task: Task, seed: int, wanted: int, dropped: Dropped) -> Iterator[Mapping[str, Any]]:
    """Different questions whose gold is graded right, until nobody believes that there are more."""
    seen: set[str] = set()
    for start in range(0, PATIENCE * wanted, BATCH):
        new = []
        for entry in _draw(task, seed * APART + start):
            if entry["question"] in seen:
                dropped.twice += 1
            else:
                seen.add(entry["question"])
                new.append(entry)
        pairs = [(f"\\boxed{{{entry['answer']}}}", ground_truth(task, entry)) for entry in new]
        for entry, verdict in zip(new, verify_batch(SOURCE + task.name, pairs)):
            if verdict.correct:
                yield entry
            else:
                dropped.gold_not_right += 1


def _draw(task: Task, seed: int) -> list[Mapping[str, Any]]:
    """The questions of ``BATCH`` seeds; fewer where the task says that it has no more."""
    random.seed(seed)  # a few tasks draw from the global generator
    with contextlib.redirect_stdout(io.StringIO()):  # and some print while they try
        dataset = _dataset(task, seed, BATCH)
        entries = []
        with contextlib.suppress(IndexError):
            for number in range(BATCH):
                entries.append(dataset[number])
    return entries


def _row(task: Task, entry: Mapping[str, Any], index: int, split: str) -> dict[str, Any]:
    made_by = {"task": task.text, "reasoning_gym": importlib.metadata.version("reasoning-gym")}
    return {
        "data_source": SOURCE + task.name,
        "prompt": [{"role": "user", "content": entry["question"]}],
        "ability": "reasoning",
        "reward_model": {"ground_truth": ground_truth(task, entry), "style": "rule"},
        "extra_info": {"index": index, "split": split, **made_by},
    }


def _dataset(task: Task, seed: int, size: int) -> Any:
    from reasoning_gym.factory import create_dataset  # half a second, and only tasks need it

    try:
        return create_dataset(task.name, seed=seed, size=size, **task.settings)
    except (AssertionError, TypeError, ValueError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split()) or "its own checks refuse these values"
        raise DataError(f"--task {task.text}: {reason}. It has {_listed(_config(task.name))}") from None


def _config(name: str) -> dict[str, Any]:
    """Setting -> default."""
    from reasoning_gym.factory import DATASETS

    default = DATASETS[name][1]()
    return {field.name: getattr(default, field.name) for field in fields(default) if field.name not in OWN_FLAGS}


def _value(text: str, key: str, value: str, default: Any) -> Any:
    try:
        read = json.loads(value.lower() if value.lower() in ("true", "false", "null") else value)
    except json.JSONDecodeError:
        read = value
    if isinstance(default, str):
        return value if not isinstance(read, str) else read
    kinds: dict[type, tuple[type, ...]] = {
        bool: (bool,),
        int: (int,),
        float: (int, float),
        list: (list,),
        tuple: (list,),
    }
    allowed = kinds.get(type(default))
    wrong_bool = isinstance(read, bool) and not isinstance(default, bool)
    if allowed is not None and (not isinstance(read, allowed) or wrong_bool):
        raise DataError(f"--task {text}: {key}={value} must be {allowed[-1].__name__}, as its default {default!r} is")
    return read


def _listed(known: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value, default=str)}" for key, value in known.items()) or "no settings"
