"""Whether a command can write where it is to: asked before it begins, so that no work is done for nothing."""

import os
import tempfile
from pathlib import Path

from rlvr.machine import existing
from rlvr.records import DataError

REMEDY = "choose another place for the output"


def check_file(path: Path, *inputs: Path) -> None:
    """Whether a file can be written.

    Raises:
        DataError: if it cannot, or is one of the ``inputs``, which writing it would destroy.
    """
    if path.is_dir():
        raise DataError("is a folder", file=path, remedy="name a file")
    if any(path.exists() and one.exists() and path.samefile(one) for one in inputs):
        raise DataError("is the input, which would be overwritten", file=path, remedy=REMEDY)
    if path.exists() and not os.access(path, os.W_OK):
        raise DataError("cannot be written to", file=path, remedy=REMEDY)
    check_folder(path.parent)


def check_folder(path: Path) -> None:
    """Whether files can be written into a folder, which need not be there yet.

    Raises:
        DataError: if they cannot.
    """
    there = existing(path)
    if not there.is_dir():
        raise DataError("is a file, no folder", file=there, remedy=REMEDY)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise DataError(f"cannot be written to: {error.strerror}", file=there, remedy=REMEDY) from error
