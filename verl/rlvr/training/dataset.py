"""verl's data set over the one reader: training takes files of every layout that its checks and the evaluation take.

verl reads parquet and JSON lines in its own layout only, and joins files only if their columns agree. Files that are not so are
written once, as parquet in verl's layout, into ``+data.cache_dir`` (~/.cache/verl/rlhf), under the checksum of their content;
upstream's class then reads those. Deliberately left out: tokenising, filtering and shuffling, which are upstream's.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf
from verl.utils.dataset.rl_dataset import RLHFDataset

from rlvr.data.parquet import write
from rlvr.data.prepare import question_row
from rlvr.data.questions import Question, read_questions
from rlvr.verify.verifiers import given_kind

FORM = "2"  # raise it whenever the same file would be written otherwise


class QuestionDataset(RLHFDataset):
    """Upstream's data set; ``data.train_files`` and ``data.val_files`` may have any layout of docs/data.md."""

    def _download(self, use_origin_parquet: bool = False) -> None:
        super()._download(use_origin_parquet)
        verifiers = plain(self.config.get("verifiers"))
        local = [str(file) for file in self.__dict__["data_files"]]
        self.data_files: list[str] = in_one_layout(local, Path(self.cache_dir), self.prompt_key, verifiers)

    def __getitem__(self, item: int) -> dict[str, Any]:
        row = super().__getitem__(item)
        kind = given_kind(row["data_source"], plain(self.config.get("verifiers")))
        if kind is not None:
            row["extra_info"] = {**row["extra_info"], "verifier": kind}
        return row


def in_one_layout(
    files: Sequence[str], cache: Path, prompt_key: str = "prompt", verifiers: dict[str, str] | None = None
) -> list[str]:
    """The same files if verl can read them as they are, else their copies in verl's layout.

    Raises:
        DataError: if a file cannot be read.
    """
    schemas = [verl_schema(file, prompt_key) for file in files]
    if None not in schemas and all(schema == schemas[0] for schema in schemas):
        return list(files)
    return [str(converted(Path(file), cache, prompt_key, verifiers)) for file in files]


def verl_schema(file: str, prompt_key: str) -> pa.Schema | None:
    """The types of the columns that verl reads, or None if it cannot read them or a gold is neither text nor a record."""
    try:
        schema = pq.read_schema(file)
        wanted = pa.schema([schema.field(name) for name in ("data_source", prompt_key, "reward_model")])
        truth = wanted.field("reward_model").type.field("ground_truth").type
    except (pa.ArrowException, OSError, KeyError, AttributeError):
        return None
    messages = wanted.field(prompt_key).type
    plain_gold = pa.types.is_string(truth) or pa.types.is_large_string(truth) or pa.types.is_struct(truth)
    return wanted if plain_gold and pa.types.is_list(messages) and pa.types.is_struct(messages.value_type) else None


def converted(file: Path, cache: Path, prompt_key: str, verifiers: dict[str, str] | None) -> Path:
    """``file`` as parquet in verl's layout, made once for each content."""
    digest = hashlib.sha256(f"{FORM} {file.name} {prompt_key} {verifiers}".encode())
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    target = cache / f"{file.name.split('.')[0]}-{digest.hexdigest()[:16]}.parquet"
    if not target.is_file():
        questions = read_questions(file, verifiers, prompt_key)
        rows = [as_row(question, number, prompt_key) for number, question in enumerate(questions)]
        write(pa.Table.from_pylist(rows), target, unfinished=f".{os.getpid()}")
    return target


def as_row(question: Question, number: int, prompt_key: str) -> dict[str, Any]:
    row = question_row(question, number)
    row[prompt_key] = row.pop("prompt")
    return row


def plain(verifiers: Any) -> dict[str, str] | None:
    return OmegaConf.to_container(verifiers) if OmegaConf.is_config(verifiers) else verifiers
