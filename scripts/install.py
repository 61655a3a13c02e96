"""Make an environment from its lock: nothing is resolved, every file has its hash, and a killed install goes on.

    bash scripts/install.sh cpu       .venv       (`make install`)
    bash scripts/install.sh gpu       .venv-gpu   (`make install-gpu`)
    bash scripts/install.sh trl       .venv-trl   (`make bench-step`)

uv of one version does it (requirements/uv.txt: from PATH, else brought by pip into .tools), pip where uv cannot be had. Both look
where pip is told to look. ``.installed`` in the environment is written last and says what it was made from; an environment
without it, of another Python or moved from another folder is made anew, from the package cache. One whose lock has changed is
brought up to date, and keeps what its user added. Only the standard library is used.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))  # Python is started with -I

from installers import NOT_REACHED, Failed, Installer, best, first_line  # noqa: E402

TOOLS = ROOT / ".tools"
PYTHONS = ("3.10", "3.11", "3.12")
PYTORCH_INDEX = "https://download.pytorch.org/whl/cpu"
NEW = {"pip", "setuptools", "wheel"}  # all that an environment holds right after it was made by hand
# What has no wheel and is Python alone. Everything else comes as a wheel or stops the install: nothing is compiled.
FROM_SOURCE = ("antlr4-python3-runtime", "cellpylib", "zss")
NOTHING_COMPILED = ["--no-build-isolation", "--only-binary", ":all:", "--no-binary", ",".join(FROM_SOURCE)]


@dataclass(frozen=True)
class Kind:
    """One of the environments."""

    folder: Path
    lock: Path
    size: str  # of its packages, compressed
    torch: Path | None = None  # names a CPU build, which is on its own
    local: tuple[str, ...] = (f"{ROOT}/packaging/pycosat", "--editable", str(ROOT))  # packages of this repository


LOCKS = ROOT / "requirements"
KINDS = {
    "cpu": Kind(
        ROOT / ".venv",
        LOCKS / "cpu.txt",
        "1 GB",
        LOCKS / "torch-cpu.txt",
        local=(f"{ROOT}/packaging/vllm-alias", f"{ROOT}/packaging/pycosat", "--editable", str(ROOT)),
    ),
    "gpu": Kind(ROOT / ".venv-gpu", LOCKS / "gpu.txt", "6 GB"),
    "trl": Kind(ROOT / ".venv-trl", LOCKS / "trl.txt", "500 MB", LOCKS / "torch-cpu.txt", local=()),
}


@dataclass(frozen=True)
class Python:
    """An interpreter that runs: not that of an environment, but the one below it."""

    executable: str
    version: str  # 3.11.7

    @property
    def minor(self) -> str:
        return self.version.rpartition(".")[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/install.sh", description=str(__doc__).splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument(
        "--check", action="store_true", help="only say by the exit code whether the environment is whole"
    )
    args = parser.parse_args()
    kind, chosen = KINDS[args.kind], os.environ.get("PYTHON") or None
    if args.check:
        sys.exit(not whole(kind, chosen))
    TOOLS.mkdir(exist_ok=True)
    try:
        with only_one() as lock:
            if not whole(kind, chosen):  # another install may have made it meanwhile
                install(kind, chosen, lock)
    except Failed as failure:
        print(failure, file=sys.stderr)
        stop(f"the install failed ({first_line(str(failure))}); the same command goes on where it stopped")
    except KeyboardInterrupt:
        stop("interrupted; the same command goes on where it stopped")


@contextmanager
def only_one() -> Iterator[int]:
    """One install at a time in this folder. The programs that it starts inherit the lock: after a kill they may still run."""
    with (TOOLS / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another install in this folder has not ended yet: waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def install(kind: Kind, chosen: str | None, lock: int) -> None:
    folder, spent, started = kind.folder, dict[str, float](), time.monotonic()
    old = kept(folder, chosen)
    if old is None:
        check_ours(folder)
    with timed("uv", spent):
        installer = best(sys.executable, ROOT, TOOLS, lock)
    with timed("finding torch", spent):
        candidates = iter([old]) if old else pythons(chosen)
        python, where = with_torch(kind.torch, candidates, installer) if kind.torch else (next(candidates), [])
    print(
        f"installing into {folder.name} with Python {python.version} and {installer.name} ({kind.size}, unless it is cached)",
        flush=True,
    )
    with timed("environment", spent):
        if old is None:
            empty(folder)
            installer.make(folder, python.executable)
        (folder / ".installing").touch()
        (folder / ".installed").unlink(missing_ok=True)
    with timed("packages", spent):
        if kind.torch:
            installer.install(folder, ["--requirement", str(kind.torch), *where])
        installer.install(folder, ["--require-hashes", "--requirement", builders(kind.lock)])
        installer.install(folder, [*NOTHING_COMPILED, "--require-hashes", "--requirement", str(kind.lock)])
    if kind.local:
        with timed("this repository", spent):
            installer.install(folder, ["--no-build-isolation", *kind.local])
    with timed("bytecode", spent):
        installer.compile(folder)
    made_from = {"from": inputs(kind), "folder": str(folder.resolve()), "python": python.version, "by": installer.name}
    write_stamp(folder, made_from | {"at": time.strftime("%Y-%m-%d %H:%M:%S")})
    parts = ", ".join(f"{what} {took:.0f}" for what, took in spent.items() if took >= 0.5)
    print(f"installed in {time.monotonic() - started:.0f} s ({parts})", flush=True)


# What an environment was made from


def inputs(kind: Kind) -> str:
    """SHA-256 over everything that the environment is made from."""
    files = [
        kind.lock,
        kind.torch,
        ROOT / "pyproject.toml",
        ROOT / "setup.py",
        ROOT / "packaging/vllm-alias/pyproject.toml",
        ROOT / "packaging/pycosat/pyproject.toml",
        ROOT / "packaging/pycosat/pycosat.py",
    ]
    files += [ROOT / "scripts/install.py", ROOT / "scripts/installers.py"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files if file)).hexdigest()


def read_stamp(folder: Path) -> dict[str, str]:
    """What the environment says that it was made from; empty if it says nothing."""
    try:
        found = json.loads((folder / ".installed").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_stamp(folder: Path, made_from: dict[str, str]) -> None:
    new = folder / ".installed.new"
    new.write_text(json.dumps(made_from, indent=1) + "\n")
    new.replace(folder / ".installed")
    (folder / ".installing").unlink()


def whole(kind: Kind, chosen: str | None) -> bool:
    return read_stamp(kind.folder).get("from") == inputs(kind) and kept(kind.folder, chosen) is not None


def kept(folder: Path, chosen: str | None) -> Python | None:
    """The Python of an environment that was finished in this folder, and still is of the Python it was made with and asked for."""
    found = read_stamp(folder)
    if found.get("folder") != str(folder.resolve()):
        return None
    python = probe(str(folder / "bin" / "python"))
    if python is None or python.minor != found.get("python", "").rpartition(".")[0]:
        return None
    if chosen and (asked := probe(chosen)) and asked.minor != python.minor:
        return None
    return Python(str(folder / "bin" / "python"), python.version)


def check_ours(folder: Path) -> None:
    """Refuse a folder that somebody else filled; everything else may be emptied."""
    if not folder.exists() or (folder / ".installing").exists() or (folder / ".installed").exists():
        return
    packages = {path.name.partition("-")[0] for path in folder.glob("lib/python3*/site-packages/*.dist-info")}
    if not any(folder.iterdir()) or ((folder / "pyvenv.cfg").exists() and packages <= NEW):
        return
    stop(f"{folder.name} is there and was not made by this install: move it away, or remove it (rm -r {folder.name})")


def empty(folder: Path) -> None:
    """Empty the environment; the folder itself stays, as it may be a link or a mount."""
    if folder.is_symlink() and not folder.exists():
        folder.unlink()
    if not folder.exists():
        return
    (folder / ".installing").touch()
    (folder / ".installed").unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.name != ".installing":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


# Which Python


def probe(command: str) -> Python | None:
    """The interpreter behind a command; None if it does not run, as a version manager's stand-in, or has another version."""
    program = "import sys; print(sys._base_executable); print(*sys.version_info[:3], sep='.')"
    try:
        result = subprocess.run([command, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = result.stdout.splitlines()
    if result.returncode or len(lines) != 2 or lines[1].rpartition(".")[0] not in PYTHONS:
        return None
    return Python(lines[0], lines[1])


def pythons(chosen: str | None) -> Iterator[Python]:
    """The chosen interpreter alone; else all that run: the one that runs this, those on PATH, those of pyenv."""
    if chosen:
        python = probe(chosen)
        if python is None:
            stop(f"PYTHON={chosen} is not a Python {', '.join(PYTHONS)} that runs")
        yield python
        return
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [folder for folder in os.environ.get("PATH", "").split(":") if folder]
    commands = [sys.executable]
    commands += [f"{folder}/python{version}" for version in ("3", "3.11", "3.12", "3.10") for folder in folders]
    commands += map(str, sorted(pyenv.glob("versions/3.1[0-2].*/bin/python3"), reverse=True))
    seen = set()
    for command in filter(os.path.exists, commands):
        python = probe(command)
        if python and (real := os.path.realpath(python.executable)) not in seen:
            seen.add(real)
            yield python


def with_torch(file: Path, candidates: Iterator[Python], installer: Installer) -> tuple[Python, list[str]]:
    """The first Python that there is a CPU build of torch for, and the flags that say where: PyTorch's index comes last."""
    requirement = next(line.partition(" ")[0] for line in file.read_text().splitlines() if line.startswith("torch=="))
    pytorch = ["--index-url", PYTORCH_INDEX]
    tried, unreached = [], False
    for python in candidates:
        for where in [[]] if unreached else [[], pytorch]:
            why = installer.finds(requirement, python.executable, python.version, where)
            if why is None:
                return python, where
            unreached = unreached or (bool(where) and why == NOT_REACHED)
        tried.append(python.minor)
    version = requirement.partition("==")[2].partition("+")[0]
    stop(
        f"no CPU build of torch {version} was found for Python {' or '.join(dict.fromkeys(tried))}: not at "
        f"{', '.join(installer.places())}, and {PYTORCH_INDEX} {NOT_REACHED if unreached else 'has none'}; "
        f"set PYTHON to another Python ({', '.join(PYTHONS)}), or PIP_FIND_LINKS to a folder with the wheel {requirement}"
    )


# Small things


def builders(lock: Path) -> str:
    """A file with the lines of the lock that packages without a wheel are built with."""
    lines = [line for line in lock.read_text().splitlines() if line.startswith(("setuptools==", "wheel=="))]
    file = TOOLS / "builders.txt"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


@contextmanager
def timed(what: str, spent: dict[str, float]) -> Iterator[None]:
    started = time.monotonic()
    yield
    spent[what] = time.monotonic() - started


def stop(line: str) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
