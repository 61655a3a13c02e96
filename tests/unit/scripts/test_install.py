"""What `make install` decides: which Python, where torch is looked for, and when an environment counts as whole."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import install
import installers

PIP_CONFIG = """\
:env:.find-links='/wheels /more'
:env:.index-url='https://env/simple'
global.extra-index-url='https://one/simple\\nhttps://user:secret@two/simple'
global.index-url='https://global/simple'
install.trusted-host='one'
wheel.find-links='/of-another-command'
nonsense
"""
TORCH = ROOT / "requirements" / "torch-cpu.txt"


def test_uv_is_told_what_pip_is_told():
    settings = installers.parse_pip_settings(PIP_CONFIG.splitlines())
    flags = installers.uv_flags(settings)
    pairs = list(zip(flags[::2], flags[1::2], strict=True))
    assert pairs == [
        ("--find-links", "/wheels"),
        ("--find-links", "/more"),
        ("--default-index", "https://env/simple"),
        ("--index", "https://one/simple"),
        ("--index", "https://user:secret@two/simple"),
        ("--allow-insecure-host", "one"),
        ("--index-strategy", "unsafe-best-match"),
    ]
    assert installers.places(settings) == [
        "https://env/simple",
        "https://one/simple",
        "https://two/simple",  # without the password
        "/wheels",
        "/more",
    ]


def test_without_an_index():
    settings = installers.parse_pip_settings(["global.no-index='true'", "global.find-links='/wheels'"])
    assert installers.uv_flags(settings) == ["--find-links", "/wheels", "--no-index"]
    assert installers.places(settings) == ["/wheels"]


@pytest.mark.parametrize("name", ["cpu", "gpu", "trl", "uv"])
def test_every_line_of_a_lock_has_one_version_and_hashes(name):
    """A line without a hash would stop every install (`make lock` makes them)."""
    lines = [line for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines() if line[0] != "#"]
    form = r"[\w.-]+==[\w.+]+( ; python_version [<>=]+ \"3\.1[0-2]\")?( --hash=sha256:[0-9a-f]{64})+"
    assert lines and [line for line in lines if not re.fullmatch(form, line)] == []


def test_the_two_sets_never_share_an_environment():
    """Every target of the Makefile that runs a Python has made that Python's environment first."""
    assert install.KINDS["cpu"].folder == ROOT / ".venv" and install.KINDS["gpu"].folder == ROOT / ".venv-gpu"
    rules = re.findall(r"^([\w-]+):([^\n]*)\n((?:\t[^\n]*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(rules) > 10
    for target, needs, body in rules:
        for folder, made_by in ((".venv/bin", "install"), (".venv-gpu/bin", "install-gpu")):
            if folder in body:
                assert made_by in needs.split(), target


@pytest.mark.parametrize("kind", install.KINDS)
def test_an_install_compiles_nothing(kind):
    """flash-attn and pycosat have no wheel; of what comes as source the install takes only what is Python alone."""
    lock = install.KINDS[kind].lock.read_text()
    assert not re.search(r"^(flash[-_]attn|pycosat)\b", lock, re.MULTILINE)
    words = install.NOTHING_COMPILED
    assert words[words.index("--only-binary") + 1] == ":all:"
    assert words[words.index("--no-binary") + 1] == "antlr4-python3-runtime,cellpylib,zss"


def test_the_stand_in_for_pycosat_finds_every_solution():
    """Run from its file: an environment has it under its own name."""
    spec = importlib.util.spec_from_file_location("stand_in", ROOT / "packaging" / "pycosat" / "pycosat.py")
    stand_in = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_in)
    found = [tuple(one) for one in stand_in.itersolve([[1, 2], [-1, -2], [3]])]
    assert sorted(found) == [(-1, 2, 3), (1, -2, 3)]
    assert next(stand_in.itersolve([[1], [-1]]), None) is None


def test_a_stand_in_that_only_prints_an_error_is_no_python(tmp_path):
    stand_in = tmp_path / "python3.12"
    stand_in.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
    stand_in.chmod(0o755)
    assert install.probe(str(stand_in)) is None
    assert install.probe(str(tmp_path / "nothing")) is None
    python = install.probe(sys.executable)
    assert python is not None and python.version == ".".join(map(str, sys.version_info[:3]))
    with pytest.raises(SystemExit):
        list(install.pythons(str(stand_in)))


class FakeInstaller:
    """Has torch where it is told: (Python's version, "configured" or "pytorch") -> None or why not."""

    def __init__(self, answers: dict[tuple[str, str], str | None]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    def places(self) -> list[str]:
        return ["https://mirror/simple"]

    def finds(self, requirement, python, version, where):
        assert requirement == "torch==2.13.0+cpu"
        self.asked.append((version, "pytorch" if where else "configured"))
        return self.answers.get(self.asked[-1], "is not there")


def candidates(*versions: str):
    return iter([install.Python(f"/python{version}", version) for version in versions])


def test_the_first_python_that_torch_is_there_for():
    installer = FakeInstaller({("3.11.7", "configured"): None})
    python, where = install.with_torch(TORCH, candidates("3.12.1", "3.11.7", "3.10.1"), installer)
    assert (python.version, where) == ("3.11.7", [])
    assert installer.asked == [("3.12.1", "configured"), ("3.12.1", "pytorch"), ("3.11.7", "configured")]


def test_pytorch_s_own_index_comes_last():
    _, where = install.with_torch(TORCH, candidates("3.12.1"), FakeInstaller({("3.12.1", "pytorch"): None}))
    assert where == ["--index-url", install.PYTORCH_INDEX]


def test_no_torch_is_one_line_that_says_where_it_was_looked_for(capsys):
    answers = {("3.12.1", "pytorch"): installers.NOT_REACHED}
    installer = FakeInstaller(answers)
    with pytest.raises(SystemExit) as stopped:
        install.with_torch(TORCH, candidates("3.12.1", "3.10.1"), installer)
    (line,) = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2
    for part in (
        "torch 2.13.0",
        "Python 3.12 or 3.10",
        "https://mirror/simple",
        f"{install.PYTORCH_INDEX} could not be",
    ):
        assert part in line
    assert ("3.10.1", "pytorch") not in installer.asked  # not reached once is enough


def made(folder: Path, /, **stamp: str) -> Path:
    """An environment of this Python with a stamp."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    version = ".".join(map(str, sys.version_info[:3]))
    (folder / ".installed").write_text(json.dumps({"folder": str(folder), "python": version} | stamp))
    return folder


def test_what_counts_as_whole(tmp_path):
    folder = made(tmp_path / ".venv")
    assert install.kept(folder, None) is not None
    assert install.kept(folder, sys.executable) is not None
    assert install.kept(made(tmp_path / "moved", folder="/somewhere/else"), None) is None
    assert install.kept(made(tmp_path / "older", python="3.9.1"), None) is None
    assert install.kept(tmp_path / "nothing", None) is None
    (folder / ".installed").write_text("3711283 12999\n")  # no stamp of ours
    assert install.kept(folder, None) is None
    dangling = made(tmp_path / "dangling")
    (dangling / "bin" / "python").unlink()
    (dangling / "bin" / "python").symlink_to("/no/such/python")
    assert install.kept(dangling, None) is None


def test_only_what_is_ours_is_emptied(tmp_path, capsys):
    foreign = tmp_path / "foreign"
    (foreign / "lib" / "python3.11" / "site-packages" / "mine-1.0.dist-info").mkdir(parents=True)
    (foreign / "pyvenv.cfg").touch()
    with pytest.raises(SystemExit):
        install.check_ours(foreign)
    assert "move it away" in capsys.readouterr().err
    by_hand = tmp_path / "by-hand"
    (by_hand / "lib" / "python3.11" / "site-packages" / "pip-23.2.1.dist-info").mkdir(parents=True)
    (by_hand / "pyvenv.cfg").touch()
    install.check_ours(by_hand)
    half = tmp_path / "half"
    (half / "lib" / "python3.11" / "site-packages" / "torch-2.dist-info").mkdir(parents=True)
    (half / ".installing").touch()
    install.check_ours(half)
    link = tmp_path / "link"
    link.symlink_to(half)
    install.empty(link)
    assert link.is_symlink() and [path.name for path in half.iterdir()] == [".installing"]


def test_every_package_is_in_the_wheel():
    text = (ROOT / "pyproject.toml").read_text()
    listed = set(re.findall(r'^  "((?:rlvr|passk)[\w.]*)",$', text, re.MULTILINE))
    folders = {"rlvr": ROOT / "verl" / "rlvr", "passk": ROOT / "eval" / "passk"}
    found = {"rlvr.configs"}
    for name, folder in folders.items():
        inits = folder.rglob("__init__.py")
        found |= {".".join((name, *path.parent.relative_to(folder).parts)) for path in inits}
    assert listed == found
