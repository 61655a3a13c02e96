"""Resolve requirements/NAME.in into requirements/NAME.txt: every version and hash, for Python 3.10, 3.11 and 3.12 on Linux x86-64.

    make lock                 # keeps every version that still fits; what is new in NAME.in is resolved
    make lock UPGRADE=1       # the newest of everything

uv resolves for all three Pythons at once. What this script adds: markers that say only what differs, the Python version; and of
the hashes only those of files that such a machine can install. One requirement a line, so that a change reads well.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from installers import Uv, best
from packaging import tags
from packaging.markers import Marker
from packaging.utils import parse_wheel_filename

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = {"cpu": "cpu", "gpu": "gpu", "trl": "cpu"}  # -> whose NAME-exclude.txt says what is never installed
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
HEADER = "# Made by `make lock` from {name}.in. Installed without resolving, so this is the whole set{apart}.\n"
PROJECT = """[project]
name = "lock"
version = "0"
requires-python = ">=3.10,<3.13"
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.13'"]
"""
NEWEST_GLIBC = 45  # manylinux_2_N


def main() -> None:
    installer = best(sys.executable, HERE.parent, HERE.parent / ".tools", None)
    if not isinstance(installer, Uv):
        sys.exit("only uv resolves for several Pythons at once")
    for name in NAMES:
        lock(installer, name, upgrade="--upgrade" in sys.argv[1:])


def lock(installer: Uv, name: str, upgrade: bool) -> None:
    locked = HERE / f"{name}.txt"
    exclude = HERE / f"{NAMES[name]}-exclude.txt"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(PROJECT)
        output = Path(folder, "pylock.toml")
        command = [
            str(installer.program),
            "pip",
            "compile",
            str(HERE / f"{name}.in"),
            "--universal",
            "--python-version",
            "3.10",
        ]
        command += ["--override", str(exclude), "--format", "pylock.toml", "--quiet", "--output-file", str(output)]
        if locked.exists() and not upgrade:
            command += ["--constraint", str(kept(locked, HERE / f"{name}.in", Path(folder, "kept.txt")))]
        subprocess.run(command, cwd=folder, check=True)
        packages = tomllib.loads(output.read_text())["packages"]
    lines = filter(None, map(requirement, packages))
    locked.write_text(
        HEADER.format(name=name, apart=" (torch apart)" if NAMES[name] == "cpu" else "") + "\n".join(lines) + "\n"
    )


def kept(locked: Path, named: Path, output: Path) -> Path:
    """The versions of the last lock, as constraints; without those that ``NAME.in`` pins, where it alone decides."""
    pinned = {line.partition("==")[0].strip().lower() for line in named.read_text().splitlines() if "==" in line}
    lines = [line.partition(" --hash")[0] for line in locked.read_text().splitlines() if line and line[0] != "#"]
    output.write_text("\n".join(line for line in lines if line.partition("==")[0].lower() not in pinned) + "\n")
    return output


def requirement(package: dict[str, Any]) -> str | None:
    """A line of the lock; None for a package that is never installed.

    Raises:
        SystemExit: if no file of the package can be installed.
    """
    marker = package.get("marker")
    applies = tuple(python for python in PYTHONS if not marker or Marker(marker).evaluate(environment(python)))
    if not applies:
        return None
    hashes = list(files(package, applies))
    if not hashes:
        sys.exit(f"{package['name']} {package['version']}: no file that Python {', '.join(applies)} could install")
    return f"{package['name']}=={package['version']}{MARKERS[applies]} " + " ".join(
        f"--hash=sha256:{one}" for one in hashes
    )


def files(package: dict[str, Any], pythons: tuple[str, ...]) -> Iterator[str]:
    """SHA-256 of each wheel that one of the Pythons can install, and of the source where one of them has no wheel."""
    fits = {python: supported(python) for python in pythons}
    served = set()
    for wheel in package.get("wheels", ()):
        _, _, _, wheel_tags = parse_wheel_filename(unquote(wheel["url"].rpartition("/")[2]))
        users = {python for python in pythons if fits[python] & wheel_tags}
        served |= users
        if users:
            yield wheel["hashes"]["sha256"]
    if served != set(pythons) and "sdist" in package:
        yield package["sdist"]["hashes"]["sha256"]


def supported(python: str) -> frozenset[tags.Tag]:
    """Tags of CPython on Linux x86-64 with any glibc."""
    version = tuple(int(part) for part in python.split("."))
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(NEWEST_GLIBC, 4, -1)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    interpreter = "cp" + python.replace(".", "")
    return frozenset(
        [*tags.cpython_tags(version, platforms=platforms), *tags.compatible_tags(version, interpreter, platforms)]
    )


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
