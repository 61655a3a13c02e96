"""Parquet files that are whole or not there."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write(table: pa.Table, target: Path, unfinished: str = "") -> None:
    """All or nothing: the file has its name only when it is complete. ``unfinished`` tells several writers apart."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partly = target.with_name(f"{target.name}.unfinished{unfinished}")
    pq.write_table(table, partly)
    os.replace(partly, target)
