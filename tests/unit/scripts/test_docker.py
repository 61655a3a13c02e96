"""The images cannot be built here: what their file does is held against the Makefile and the repository."""

import json
import re

import pytest

from tests.conftest import ROOT

DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def stages() -> dict[str, str]:
    parts = re.split(r"^FROM (\S+) AS (\w+)\n", DOCKERFILE, flags=re.MULTILINE)
    return {name: f"{image}\n{body}" for image, name, body in zip(parts[1::3], parts[2::3], parts[3::3])}


def instructions(stage: str) -> list[str]:
    lines = stage.replace("\\\n", " ").splitlines()[1:]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(("stage", "target"), [("gpu", "install-gpu"), ("cpu", "install")])
def test_an_image_is_made_by_the_makefile(stage, target):
    """The last RUN is a target of the Makefile that runs scripts/install.sh, with the Python that the image has."""
    assert f"\n{target}:\n\t@bash scripts/install.sh {stage}\n" in MAKEFILE
    made = [line for line in instructions(stages()[stage]) if line.startswith("RUN")][-1]
    called = re.fullmatch(r"RUN make ([\w-]+) PYTHON=(\S+) && rm -rf /root/.cache", made)
    assert called and called[1] == target
    assert called[2].startswith("/usr/local" if "FROM python" in DOCKERFILE and stage == "cpu" else "/usr")


@pytest.mark.parametrize("stage", ["gpu", "cpu"])
def test_an_image_has_what_the_install_and_a_run_need(stage):
    """make and bash run the install; gcc with Python's headers is needed while a run starts."""
    order = [line.split()[0] for line in instructions(stages()[stage])]
    assert order == ["RUN", "WORKDIR", "COPY", "RUN", "CMD"]
    packages = set(instructions(stages()[stage])[0].split())
    assert {"bash", "make", "gcc", "g++", "git", "ca-certificates"} <= packages
    if not stages()[stage].startswith("python:"):
        assert {"python3", "python3-dev", "python3-venv", "python3-pip"} <= packages


def test_the_cuda_of_the_image_is_that_of_the_lock():
    """torch's CUDA, by its major version: the driver runs what it can, minor versions are compatible."""
    lock = (ROOT / "requirements/gpu.txt").read_text()
    runtime = re.search(r"^nvidia-cuda-runtime==(\d+)\.", lock, re.MULTILINE)
    image = re.match(r"nvidia/cuda:(\d+)\.", stages()["gpu"])
    assert runtime and image and runtime[1] == image[1]


def test_what_is_copied_is_not_ones_own_environment():
    ignored = (ROOT / "docker/Dockerfile.dockerignore").read_text().splitlines()
    assert {".venv", ".venv-*", "runs", ".tools", ".git"} <= set(ignored)
    for needed in (
        "scripts",
        "requirements",
        "packaging",
        "verl",
        "eval",
        "configs",
        "setup.py",
        "README.md",
        "LICENSE",
    ):
        assert (ROOT / needed).exists() and needed not in ignored


def test_the_devcontainer_is_the_cpu_image():
    described = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    build = described["build"]
    assert (ROOT / ".devcontainer" / build["dockerfile"]).resolve() == ROOT / "docker/Dockerfile"
    assert (ROOT / ".devcontainer" / build["context"]).resolve() == ROOT
    assert build["target"] in stages()
    assert described["postCreateCommand"] == "make install"


def test_the_readme_says_what_was_not_tried():
    assert "Not built by us" in (ROOT / "README.md").read_text() and "Not built by us" in DOCKERFILE
