"""Resolve requirements/cpu.in into requirements/cpu.txt: every version pinned, for Python 3.10, 3.11 and 3.12 on Linux x86-64.

    make lock

uv resolves for all three versions at once; what this script adds is markers that say only what differs, the Python version.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.markers import Marker

HERE = Path(__file__).resolve().parent.parent / "requirements"
PYTHONS = ("3.10", "3.11", "3.12")
MARKERS = {
    PYTHONS: "",
    ("3.10",): ' ; python_version < "3.11"',
    ("3.11",): ' ; python_version == "3.11"',
    ("3.12",): ' ; python_version >= "3.12"',
    ("3.10", "3.11"): ' ; python_version < "3.12"',
    ("3.11", "3.12"): ' ; python_version >= "3.11"',
}
HEADER = "# Made by `make lock` from cpu.in; installed with --no-deps, so this is the whole set (torch apart).\n"
PROJECT = """[project]
name = "lock"
version = "0"
requires-python = ">=3.10,<3.13"
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.13'"]
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(PROJECT)
        output = Path(folder, "lock.txt")
        command = [sys.executable, "-m", "uv", "pip", "compile", str(HERE / "cpu.in"), "--universal"]
        command += ["--python-version", "3.10", "--override", str(HERE / "cpu-exclude.txt")]
        command += ["--no-annotate", "--no-header", "--quiet", "--output-file", str(output)]
        subprocess.run(command, cwd=folder, check=True)
        lines = [simplify(line) for line in output.read_text().splitlines()]
    (HERE / "cpu.txt").write_text(HEADER + "\n".join(filter(None, lines)) + "\n")


def simplify(line: str) -> str | None:
    """One pinned requirement with a marker on the Python version only; None if it never applies."""
    requirement, _, marker = line.partition(" ; ")
    applies = tuple(python for python in PYTHONS if not marker or Marker(marker).evaluate(environment(python)))
    return requirement + MARKERS[applies] if applies else None


def environment(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


if __name__ == "__main__":
    main()
