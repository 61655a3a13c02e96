"""Records of any file that people keep data or samples in, and the one error that says what is wrong with it.

JSON lines, a JSON array, CSV, TSV and parquet; gzip, a byte order mark, UTF-16 and CRLF are recognised from the content, not the
name. Every failure is a :class:`DataError`: no reader of ours lets a traceback of json, gzip or pyarrow through. Deliberately left
out: what a record means (:mod:`rlvr.data` for questions, :mod:`passk.samples` for samples).
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
REFUSED = {  # how a file begins -> what it is, and what to do
    b"\x28\xb5\x2f\xfd": ("is compressed with zstd", "unpack it, or pack it with gzip"),
    b"\xfd7zXZ\x00": ("is compressed with xz", "unpack it, or pack it with gzip"),
    b"BZh": ("is compressed with bzip2", "unpack it, or pack it with gzip"),
    b"PK\x03\x04": ("is a zip archive", "unpack it and name the file inside"),
    b"ARROW1": ("is an Arrow file", "write it as parquet: Dataset.to_parquet"),
    b"\xff\xff\xff\xff": ("is an Arrow stream", "write it as parquet: Dataset.to_parquet"),
    b"version https://git-lfs": ("is a Git LFS pointer, not the data", "fetch the data: git lfs pull"),
    b"<!doctype html": ("is a web page", "download the file itself (on the hub: resolve/ in place of blob/)"),
    b"<html": ("is a web page", "download the file itself (on the hub: resolve/ in place of blob/)"),
    b"\x80\x04": ("is a Python pickle, which could run code", "write it as JSON lines"),
}
ENCODINGS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}  # before UTF-16, whose mark they begin with
ENCODINGS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
TABLES = {".csv": ",", ".tsv": "\t"}
WRAPPERS = ("data", "rows", "examples", "questions", "problems", "samples", "train", "test", "validation")
MAX_FIELD = 1 << 30  # characters of a CSV cell; the csv module's own limit is 131,072


class DataError(ValueError):
    """A file cannot be used. The text is one line: file, row, key, what is wrong, and what to do.

    Args:
        reason: what is wrong.
        file: which file.
        row: ``line 3``, ``row 3`` or ``item 3``, counted from 1.
        key: which column or key.
        remedy: what to do.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: Path | str | None = None,
        row: str | None = None,
        key: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.reason, self.file, self.row, self.key, self.remedy = reason, file, row, key, remedy
        where = [str(part) for part in (file, row) if part is not None]
        if key is not None:
            where.append(f"key {key!r}")
        text = f"{', '.join(where)}: {reason}" if where else reason
        super().__init__(" ".join((f"{text}; {remedy}" if remedy else text).split()))

    def at(self, file: Path | str, row: str | None = None) -> "DataError":
        """The same with its place, where the one who raised it did not know it."""
        return DataError(self.reason, file=self.file or file, row=self.row or row, key=self.key, remedy=self.remedy)


class Line(NamedTuple):
    """A line of a text file: its number from 1, its bytes, and whether a newline ended it."""

    number: int
    text: bytes
    whole: bool


class Record(NamedTuple):
    """A record and where it stands: ``line 3``, ``row 3`` (parquet, CSV) or ``item 3`` (of a JSON array)."""

    where: str
    value: Any


def read_records(path: Path | str) -> Iterator[Record]:
    """Every record of a file, in order; JSON lines are read one at a time.

    Raises:
        DataError: if the file is missing, empty or of no known kind, or a line is no JSON.
    """
    path = Path(path)
    found = False
    try:
        head = _head(path)
        if head.startswith(PARQUET):
            records = _parquet(path)
        elif table := TABLES.get(_suffix(path)):
            records = _table(path, table)
        else:
            records = _json(path)
        for record in records:
            found = True
            yield record
    except OSError as error:
        raise _unreadable(path, error) from error
    if not found:
        raise DataError("has no records", file=path)


def read_lines(path: Path | str) -> Iterator[Line]:
    """The lines of a text file, unpacked and in UTF-8 without a byte order mark.

    Raises:
        DataError: if the file is missing, is no text, or its gzip stream is damaged.
    """
    path = Path(path)
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                whole = line.endswith(b"\n")
                yield Line(number, line.rstrip(b"\r\n"), whole)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"the gzip file is damaged or cut off after line {number} ({error})", file=path, remedy="copy it again"
        ) from error
    except UnicodeError as error:
        raise DataError(f"is not UTF-8 text: {error}", file=path, remedy="save it as UTF-8") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def parse_line(line: Line, path: Path | str) -> Any:
    """What the JSON of a line says.

    Raises:
        DataError: if it is no JSON.
    """
    try:
        return json.loads(line.text)
    # ValueError is also a number of more than 4,300 digits, or bytes that are no UTF-8.
    except (ValueError, RecursionError) as error:
        cut = "" if line.whole else "; it is the last line, which may have been cut off"
        raise DataError(f"not JSON: {error}{cut}", file=path, row=f"line {line.number}") from None


def names(record: Any) -> str:
    """What a record has, for an error message."""
    if isinstance(record, Mapping):
        shown = [str(key) for key in list(record)[:20]]
        return f"it has {', '.join(shown) or 'no keys'}{', …' if len(record) > 20 else ''}"
    return f"it is {type(record).__name__} and no object"


def _head(path: Path) -> bytes:
    """The first bytes, unpacked.

    Raises:
        DataError: if there is nothing to read, or the file is of a kind that is refused.
    """
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if one.is_file())[:5]
        raise DataError(f"is a folder ({', '.join(inside) or 'empty'})", file=path, remedy="name a file")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise DataError("is empty", file=path)
    if head.startswith(GZIP):
        try:
            with gzip.open(path) as unpacked:
                head = unpacked.read(64)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"the gzip file is damaged or cut off ({error})", file=path, remedy="copy it again"
            ) from None
        if head.startswith(PARQUET):
            raise DataError("is a parquet file packed with gzip", file=path, remedy="unpack it")
    lowered = head.lstrip().lower()
    for magic, (what, remedy) in REFUSED.items():
        if head.startswith(magic) or (magic.startswith((b"<", b"v")) and lowered.startswith(magic)):
            raise DataError(what, file=path, remedy=remedy)
    if path.suffix == ".parquet" and not head.startswith(PARQUET):
        raise DataError("is no parquet file, whatever its name says", file=path)
    if head.startswith(tuple(ENCODINGS)):
        return head
    if b"\x00" in head and not head.startswith(PARQUET):
        raise DataError("is no text: it has NUL bytes", file=path, remedy="save it as UTF-8 JSON lines or parquet")
    return head


def _open(path: Path) -> IO[bytes]:
    """The file as UTF-8 without a byte order mark."""
    head = _head(path)
    with path.open("rb") as probe:
        packed = probe.read(2) == GZIP
    # the caller closes it
    file: Any = gzip.open(path) if packed else path.open("rb", buffering=1 << 20)  # noqa: SIM115
    encoding = next((name for mark, name in ENCODINGS.items() if head.startswith(mark)), None)
    if encoding is not None:
        with file:
            return io.BytesIO(file.read().decode(encoding).encode())
    if head.startswith(codecs.BOM_UTF8):
        file.read(len(codecs.BOM_UTF8))
    return file


def _json(path: Path) -> Iterator[Record]:
    """JSON lines; or one JSON value over the whole file, if its first line is none."""
    lines = (line for line in read_lines(path) if line.text.strip())
    first = next(lines, None)
    if first is None:
        return
    second = next(lines, None)
    try:
        value = parse_line(first, path)
    except DataError as error:
        if second is None or first.text.lstrip()[:1] not in (b"[", b"{"):
            raise
        yield from _whole(path, error)
        return
    if second is None:
        value = _unwrapped(value)
    if second is None and _is_array(value):
        yield from (Record(f"item {number}", item) for number, item in enumerate(value, start=1))
        return
    yield Record(f"line {first.number}", value)
    if second is not None:
        yield Record(f"line {second.number}", parse_line(second, path))
    for line in lines:
        yield Record(f"line {line.number}", parse_line(line, path))


def _whole(path: Path, of_first_line: DataError) -> Iterator[Record]:
    text = b"\n".join(line.text for line in read_lines(path))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith(b"["):
            raise DataError(f"neither JSON lines nor a JSON array: {error}", file=path) from None
        raise of_first_line from None
    value = _unwrapped(value)
    if not isinstance(value, list):
        raise DataError(f"is no list of records ({names(value)})", file=path, remedy="write JSON lines or a JSON array")
    yield from (Record(f"item {number}", item) for number, item in enumerate(value, start=1))


def _unwrapped(value: Any) -> Any:
    """The list in ``{"data": [{…}, …]}``."""
    if not isinstance(value, dict):
        return value
    lists = [
        key for key in WRAPPERS if isinstance(value.get(key), list) and all(isinstance(i, dict) for i in value[key])
    ]
    return value[lists[0]] if len(lists) == 1 else value


def _is_array(value: Any) -> bool:
    """Whether the only line of a file is a list of records, and not one record that is a conversation."""
    if not isinstance(value, list):
        return False
    return not (value and all(isinstance(turn, dict) and {"from", "role"} & turn.keys() for turn in value))


def _table(path: Path, delimiter: str) -> Iterator[Record]:
    csv.field_size_limit(MAX_FIELD)
    with io.TextIOWrapper(_open(path), encoding="utf-8", newline="") as text:
        reader = csv.DictReader(text, delimiter=delimiter, strict=True)
        number = 0
        try:
            for number, row in enumerate(reader, start=1):
                if None in row:
                    raise DataError("has more cells than the header", file=path, row=f"row {number}")
                yield Record(f"row {number}", row)
        except (csv.Error, UnicodeDecodeError, EOFError, zlib.error) as error:
            raise DataError(f"cannot be read: {error}", file=path, row=f"row {number + 1}") from None


def _parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield Record(f"row {number}", row)
    # to_pylist raises ValueError for text that is no UTF-8.
    except (pa.ArrowException, ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be read after row {number}: {error}", file=path) from error


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()


def _unreadable(path: Path, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError("no such file", file=path)
    return DataError(f"cannot be read: {error.strerror or error}", file=path)
