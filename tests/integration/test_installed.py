"""In somebody's own verl project: the wheel in a fresh environment beside verl, in a folder without this repository.

The lines that choose our method are those of README's section "Use it in your own verl project".
"""

import json
import os
import shlex
import shutil
import site
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import ROOT, own_project

STEPS = 2
SMALL = [
    "+base_model=tiny",  # stands for the user's own model and data
    "+machine=cpu",
    "trainer.experiment_name=own",
    f"trainer.total_training_steps={STEPS}",
    f"trainer.save_freq={STEPS}",
    "trainer.val_before_train=false",
    "trainer.test_freq=-1",
    "data.train_batch_size=8",
    "actor_rollout_ref.rollout.n=4",
    "actor_rollout_ref.actor.ppo_mini_batch_size=8",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):  # without the traces of earlier builds
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    build("sdist", source, folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    build("wheel", unpacked, folder)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def build(kind: str, source: Path, output: Path) -> None:
    program = f"import setuptools.build_meta as backend; backend.build_{kind}({str(output)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=source, check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(built, tiny, tmp_path_factory) -> Path:
    """Another folder, with an environment that has the wheel and, of the rest of this one, everything but this repository."""
    folder = tmp_path_factory.mktemp("project")
    environment = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", built[1]], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    # Files *.pth in a folder that is named like this are not read: the editable install of this repository stays out.
    (packages / "beside.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    shutil.copytree(tiny, folder / "data" / "tiny")
    return folder


def run(project: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment["PATH"] = f"{project}/env/bin:{environment['PATH']}"
    result = subprocess.run(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert result.returncode == 0, result.stdout[-8000:]
    return result.stdout


def test_everything_is_in_both_distributions(built):
    sdist, wheel = built
    in_wheel = set(ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    code = {"rlvr": ROOT / "verl" / "rlvr", "passk": ROOT / "eval" / "passk", "rlvr/configs": ROOT / "configs"}
    for package, folder in code.items():
        kinds = ("*.py", "*.yaml", "*.html", "*.css", "*.js", "LICENSE", "py.typed")
        names = {path.relative_to(folder).as_posix() for kind in kinds for path in folder.rglob(kind)}
        assert names and {f"{package}/{name}" for name in names} <= in_wheel
        place = folder.relative_to(ROOT) if package != "rlvr/configs" else "verl/rlvr/configs"
        assert {f"{place}/{name}" for name in names} <= in_sdist
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)
    assert {"LICENSE", "README.md", "pyproject.toml", "setup.py"} <= in_sdist


def test_the_lines_of_the_readme_train_and_evaluate(project):
    assert str(project) in run(project, "python", "-c", "import rlvr; print(rlvr.__file__)")
    run(project, *shlex.split(own_project("bash")), *SMALL)
    lines = (project / "runs" / "own" / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    assert [step["step"] for step in metrics] == [1, 2]
    for step in metrics:
        assert step["rlvr/correct_count"] + step["rlvr/incorrect_count"] == 8 * 4
        assert step["rlvr/kept_count"] == step["rlvr/incorrect_count"] > 0
        assert step["critic/advantages/max"] == step["critic/advantages/min"] == -1.0

    run(project, "python", "-m", "passk.watch", "runs/own", "--html", "page.html")
    (shown,) = json.loads((project / "page.html").read_text().split('id="state">')[1].split("</script>")[0])["runs"]
    assert shown["steps"] == [1, 2] and shown["versions"]["verl"] == "0.9.1" and shown["problems"] == []
    missing = {name: panel["missing"] for name, panel in shown["panels"].items() if panel["missing"]}
    assert missing == {  # there was no validation
        "accuracy": ["not in metrics.jsonl: val-core/…/pass@1"],
        "entropy": ["not in metrics.jsonl: validation: val-core/entropy"],
    }

    evaluation = ["--datasets=data/tiny/test.parquet", "--output_dir=eval", "--prompt_template_type=countdown"]
    evaluation += ["--num_generation=4", "--limit=4", "--max_tokens=32", "--temperature=1.0"]
    run(project, "python", "-m", "passk.generate", f"--model_name=runs/own/global_step_{STEPS}", *evaluation)
    (samples,) = (project / "eval").glob("*.jsonl")
    assert len(samples.read_text().splitlines()) == 4 * 4
    assert "pass@" in run(project, "calculate_metrics", "--file_path", str(samples))
