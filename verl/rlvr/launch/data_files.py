"""The data files of a run, looked at before it: every row a question, every gold one that the grader would pay.

What is read is what training reads (:mod:`rlvr.training.dataset`). A few wrong golds are a warning on stderr; above 1 % the run is
refused, unless ``data.allow_wrong_golds=true``. Prompts that are too long are said, and are in no number of questions.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rlvr.data import audit
from rlvr.data.questions import survey
from rlvr.launch import prompt_tokens
from rlvr.launch.plan import limited
from rlvr.records import DataError
from rlvr.verify.verifiers import UnknownDataSource, check_kinds

KEYS = ("train_files", "val_files")
OWN_REWARD = "pkg://rlvr.training.reward"
MADE_WITH = {
    "data/tiny/": "python -m rlvr.tiny",
    "data/smollm2-135m/": "scripts/prepare_data --task chain_sum:max_terms=2 --output data/smollm2-135m",
}
MOST_SHARED = 0.01  # of the validation questions that may be trained on too, before it is said


def check(config: DictConfig) -> Iterator[str]:
    """One line for each problem; warnings go to stderr."""
    yield from check_kinds(verifiers_of(config))
    found: dict[str, list[audit.Audit]] = {}
    sound = True
    for key in KEYS:
        for file in files(config.data[key]):
            try:
                one = look(config, file)
            except (DataError, UnknownDataSource) as error:
                sound = False
                yield f"data.{key}: {_with_file(str(error), file)}"
                continue
            found.setdefault(key, []).append(one)
            warnings, errors = audit.warnings_and_errors(one, allow=bool(config.data.get("allow_wrong_golds")))
            yield from (
                f"data.{key}: {error}; data.allow_wrong_golds=true goes on" if one.golds else f"data.{key}: {error}"
                for error in errors
            )
            sound = sound and not errors
            _warn(key, warnings)
    if sound:
        too_long = {key: _too_long(config, key) for key in KEYS}
        problems = list(check_lengths(config, too_long))
        yield from problems or check_steps(config, _asked(config, "train_files", too_long["train_files"]))
    _warn_of_shared(found.get("train_files", []), found.get("val_files", []))


def check_lengths(config: DictConfig, too_long: Mapping[str, int]) -> Iterator[str]:
    """Whether a prompt is left; those that are too long, so many of each of :data:`KEYS`, are a warning."""
    limit, left_out = config.data.max_prompt_length, config.data.get("filter_overlong_prompts")
    what = "are left out" if left_out else "are cut at their beginning"
    for key, number in too_long.items():
        questions = _questions(config, key)
        if left_out and number == questions:
            yield f"data.{key}: every prompt has more than data.max_prompt_length={limit} tokens: raise it"
        elif number:
            said = f"{number} of {questions} prompts have more than data.max_prompt_length={limit} tokens and {what}"
            _warn(key, [said])


def check_steps(config: DictConfig, questions: int) -> Iterator[str]:
    """Whether the steps that were asked for will be done; verl saves and validates after the last of those alone."""
    batch, limit = config.data.train_batch_size, config.data.get("train_max_samples", -1)
    used = limited(questions, limit)
    if used < batch:
        held = (
            f"data.train_files hold only {questions} questions"
            if used == questions
            else f"data.train_max_samples={limit}"
        )
        yield f"data.train_batch_size={batch} but {held}"
        return
    steps, epochs, each = config.trainer.total_training_steps, config.trainer.total_epochs, used // batch
    if steps is not None and steps > each * epochs:
        yield (
            f"trainer.total_training_steps={steps} but trainer.total_epochs={epochs} of {each} steps ends before it, without a "
            f"last checkpoint: set trainer.total_epochs={-(-steps // each)}, or trainer.total_training_steps=null for all epochs"
        )


def look(config: DictConfig, file: str) -> audit.Audit:
    """What is wrong with a file; looked at once as long as it does not change.

    Raises:
        DataError: if it cannot be read.
        UnknownDataSource: if nobody grades one of its data sources.
    """
    if not Path(file).exists():
        command = next((made for folder, made in MADE_WITH.items() if file.startswith(folder)), "scripts/prepare_data")
        raise DataError(f"{file} does not exist", remedy=f"make it with `{command}`")
    state = os.stat(file)
    given = tuple((verifiers_of(config) or {}).items())
    return _look(file, state.st_mtime_ns, state.st_size, given, graded_by_us(config), config.data.prompt_key)


@lru_cache(maxsize=32)
def _look(
    file: str, changed: int, size: int, verifiers: tuple[tuple[str, str], ...], graded: bool, prompt_key: str
) -> audit.Audit:
    reading = survey(file, dict(verifiers), prompt_key)
    if graded:
        return audit.inspect(reading, file, dict(verifiers))
    return audit.Audit(
        file, reading.questions, reading.errors, []
    )  # what its gold means is the other function's business


def one_gold_per_source(config: DictConfig) -> dict[str, Any]:
    """A ground truth of each data source, from the files that can be read."""
    from rlvr.training.dataset import verl_schema

    found: dict[str, Any] = {}
    for key in KEYS:
        for file in files(config.data[key]):
            try:
                questions = look(config, file).questions
            except (DataError, UnknownDataSource):
                continue
            as_it_is = verl_schema(file, config.data.prompt_key) is not None
            for question in questions:
                if question.problem is None:
                    found.setdefault(question.data_source, question.given if as_it_is else dict(question.truth))
    return found


def files(value: Any) -> list[str]:
    """One file, or several."""
    return [value] if isinstance(value, str) else [str(file) for file in value]


def rows(config: DictConfig, key: str) -> int:
    """Questions of ``data.train_files`` or ``data.val_files`` that are asked, as far as lengths can be told on this machine.

    Raises:
        DataError, UnknownDataSource: if a file cannot be read.
    """
    return _asked(config, key, _too_long(config, key))


def _questions(config: DictConfig, key: str) -> int:
    return sum(len(look(config, file).questions) for file in files(config.data[key]))


def _too_long(config: DictConfig, key: str) -> int:
    return sum(prompt_tokens.too_long(config, look(config, file).questions) for file in files(config.data[key]))


def _asked(config: DictConfig, key: str, too_long: int) -> int:
    return _questions(config, key) - (too_long if config.data.get("filter_overlong_prompts") else 0)


def verifiers_of(config: DictConfig) -> dict[str, str] | None:
    """``data.verifiers`` as a mapping."""
    given = config.data.get("verifiers")
    return OmegaConf.to_container(given) if OmegaConf.is_config(given) else None


def graded_by_us(config: DictConfig) -> bool:
    """Whether :mod:`rlvr.training.reward` grades, and not a function of the user's or upstream's."""
    return OmegaConf.select(config, "reward.custom_reward_function.path") == OWN_REWARD


def _warn_of_shared(train: list[audit.Audit], val: list[audit.Audit]) -> None:
    for one in val:
        same = {row for other in train if other.path != one.path for row, _ in audit.shared(one, other)}
        if len(same) > MOST_SHARED * len(one.questions):
            _warn("val_files", [f"{one.path}: {len(same)} of {len(one.questions)} questions are trained on too"])


def _warn(key: str, warnings: list[str]) -> None:
    for warning in warnings:
        print(f"warning: data.{key}: {warning}", file=sys.stderr)


def _with_file(text: str, file: str) -> str:
    return text if file in text else f"{file}: {text}"
