"""uv and pip, as scripts/install.py uses them: where is a wheel, make an environment, install a lock.

uv does not read pip's configuration, so what pip is told (indexes, folders of wheels, certificates) is passed on to it.
Not a command. Only the standard library is used.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

NOT_REACHED = "could not be reached"
NETWORK_WORDS = (
    "failed to fetch",
    "request failed",
    "error sending request",
    "retrying (",
    "connection",
    "sslerror",
    "dns error",
)
SHOWN_DOWNLOAD_MB = 20
LINE = 200  # characters of an error that is repeated


class Failed(RuntimeError):
    """A command of uv or pip ended badly; says what it printed."""


def run(command: Sequence[object], lock: int | None = None, **environment: str) -> str:
    """Run a command, naming the large downloads as they start; what it printed.

    Args:
        lock: a file descriptor that the command inherits, so that a lock on it lasts as long as the command does.

    Raises:
        Failed: if its exit code is not 0.
    """
    variables = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=variables | environment,
        pass_fds=() if lock is None else (lock,),
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        size = re.fullmatch(r"\s*Downloading (\S+) \((\d+)[.\d]* ?Mi?B\)\s*", line)
        if size and int(size[2]) >= SHOWN_DOWNLOAD_MB:
            print(f"  downloading {size[1]}, {size[2]} MB", flush=True)
    if process.wait():
        raise Failed("".join(lines).strip() or f"exit code {process.returncode}")
    return "".join(lines)


def pip_settings(python: str) -> dict[str, list[str]]:
    """What pip is told, from its files and environment: option -> values. A command's own settings win, then PIP_… variables."""
    try:
        printed = subprocess.run(
            [python, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        printed = ""
    variables = [
        f":env:.{key[4:].lower().replace('_', '-')}={value!r}" for key, value in os.environ.items() if key[:4] == "PIP_"
    ]
    return parse_pip_settings([*printed.splitlines(), *variables])


def parse_pip_settings(lines: Sequence[str]) -> dict[str, list[str]]:
    """Lines of `pip config list`, such as ``global.index-url='https://…'``."""
    order = ("global", "install", ":env:")
    found: dict[str, tuple[int, list[str]]] = {}
    for line in lines:
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section not in order or not value:
            continue
        try:
            values = str(ast.literal_eval(value)).split()
        except (ValueError, SyntaxError):
            continue
        if order.index(section) >= found.get(option, (0, []))[0]:
            found[option] = (order.index(section), values)
    return {option: values for option, (_, values) in found.items()}


def uv_flags(settings: Mapping[str, Sequence[str]]) -> list[str]:
    """The flags that make uv look where pip looks."""
    flags = [word for place in settings.get("find-links", ()) for word in ("--find-links", place)]
    if "true" in (value.lower() for value in settings.get("no-index", ())) or settings.get("no-index") == ["1"]:
        return [*flags, "--no-index"]
    for place in settings.get("index-url", ())[:1]:
        flags += ["--default-index", place]
    extra = settings.get("extra-index-url", ())
    for place in extra:
        flags += ["--index", place]
    for host in settings.get("trusted-host", ()):
        flags += ["--allow-insecure-host", host]
    # pip takes the best of all its indexes; the hashes say what may come of it
    return [*flags, "--index-strategy", "unsafe-best-match"] if extra else flags


def places(settings: Mapping[str, Sequence[str]]) -> list[str]:
    """Where packages are looked for, for a reader; without the password that a URL may carry."""
    found = [*(settings.get("index-url") or ["https://pypi.org/simple"])[:1], *settings.get("extra-index-url", ())]
    if settings.get("no-index"):
        found = []
    return [re.sub(r"//[^/@]*@", "//", place) for place in [*found, *settings.get("find-links", ())]]


class Pip:
    """The fallback: pip of the environment itself. Slower: one download after the other."""

    def __init__(self, python: str, lock: int | None) -> None:
        self.python, self.lock, self.name = python, lock, "pip"
        self.settings = pip_settings(python)

    def places(self) -> list[str]:
        return places(self.settings)

    def finds(self, requirement: str, python: str, version: str, where: Sequence[str]) -> str | None:
        """None if there is a wheel of the requirement; else why not. ``where``: flags in place of the configured indexes."""
        with tempfile.TemporaryDirectory() as folder:
            command = [
                self.python,
                "-m",
                "pip",
                "install",
                "--dry-run",
                "--no-deps",
                "--ignore-installed",
                "--retries",
                "1",
            ]
            command += ["--only-binary", ":all:", "--python-version", version.rpartition(".")[0], "--target", folder]
            try:
                run([*command, *where, requirement], self.lock, PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0")
            except Failed as failure:
                return why(str(failure))
        return None

    def make(self, folder: Path, python: str) -> None:
        run([python, "-I", "-m", "venv", folder], self.lock)

    def install(self, folder: Path, words: Sequence[str]) -> None:
        """`pip install` of exactly what is named."""
        python = folder / "bin" / "python"
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode:
            run([python, "-I", "-m", "ensurepip"], self.lock)
        run([python, "-m", "pip", "install", "--no-deps", "--no-color", "--progress-bar", "off", *words], self.lock)

    def compile(self, folder: Path) -> None:
        """Done by ``install``."""


class Uv:
    """uv; what it cannot do is left to pip."""

    def __init__(self, program: Path, version: str, pip: Pip) -> None:
        self.program, self.pip, self.name = program, pip, f"uv {version}"
        self.flags = uv_flags(pip.settings)
        certificates = pip.settings.get("cert", ())
        self.environment = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        if certificates and "SSL_CERT_FILE" not in os.environ:
            self.environment["SSL_CERT_FILE"] = certificates[0]

    def places(self) -> list[str]:
        return self.pip.places()

    def finds(self, requirement: str, python: str, version: str, where: Sequence[str]) -> str | None:
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder, "wanted.in")
            wanted.write_text(requirement + "\n")
            command = [
                self.program,
                "pip",
                "compile",
                wanted,
                "--no-deps",
                "--only-binary",
                ":all:",
                "--python",
                python,
            ]
            try:
                run([*command, *(where or self.flags)], self.pip.lock, UV_HTTP_RETRIES="1", **self.environment)
            except Failed as failure:
                reason = why(str(failure))
                return self.pip.finds(requirement, python, version, where) if NOT_REACHED in reason else reason
        return None

    def make(self, folder: Path, python: str) -> None:
        run([self.program, "venv", "--allow-existing", "--python", python, folder], self.pip.lock, **self.environment)

    def install(self, folder: Path, words: Sequence[str]) -> None:
        """`uv pip install` of exactly what is named; by pip if that fails."""
        command = [self.program, "pip", "install", "--no-deps", "--python", folder / "bin" / "python"]
        # PyTorch's index is given in place of the configured ones, not beside them
        flags = [] if "--index-url" in words else self.flags
        try:
            run([*command, *flags, *words], self.pip.lock, **self.environment)
        except Failed as failure:
            print(f"  uv: {first_line(str(failure))}\n  pip tries it", flush=True)
            self.pip.install(folder, words)

    def compile(self, folder: Path) -> None:
        """Bytecode of all packages but their tests: pip makes it as it goes, uv does not. What cannot be compiled is left alone."""
        command = [
            str(folder / "bin" / "python"),
            "-m",
            "compileall",
            "-qq",
            "-j",
            "0",
            "-x",
            "/tests?/",
            str(folder / "lib"),
        ]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


Installer = Uv | Pip


def best(python: str, root: Path, tools: Path, lock: int | None) -> Installer:
    """uv of the version in requirements/uv.txt: from PATH, from ``tools``, or brought there by pip; else pip."""
    pip = Pip(python, lock)
    requirement = root / "requirements" / "uv.txt"
    version = re.findall(r"^uv==(\S+)", requirement.read_text(), re.MULTILINE)[0]
    brought = tools / f"uv-{version}"
    for program in (shutil.which("uv"), brought / "bin" / "uv"):
        if program and version_of(program) == version:
            return Uv(Path(program), version, pip)
    partial = tools / f"uv-{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(brought, ignore_errors=True)
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--require-hashes",
        "--target",
        str(partial),
        "-r",
        str(requirement),
    ]
    try:
        run(command, lock, PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0")
    except Failed as failure:
        print(
            f"uv {version} could not be had ({first_line(str(failure))}); pip does it, which takes longer", flush=True
        )
        return pip
    partial.rename(brought)
    return Uv(brought / "bin" / "uv", version, pip)


def version_of(program: str | Path) -> str | None:
    """What `uv --version` says; None if it does not run."""
    try:
        words = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return words[1] if len(words) > 1 else None


def why(printed: str) -> str:
    """One line on why a wheel was not found."""
    if any(word in printed.lower() for word in NETWORK_WORDS):
        return NOT_REACHED
    return "is not there"


def first_line(printed: str) -> str:
    """The line that says what went wrong."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "×", "cause"))]
    return (errors or lines or ["no word"])[0].partition(" (from versions:")[0][:LINE]


if __name__ == "__main__":
    sys.exit(__doc__)
