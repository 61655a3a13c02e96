"""Every check's lines from made-up findings; the real machine is checked in tests/integration."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from rlvr.cluster import nvidia_smi
from rlvr.cluster.cpus import WORKER_NICENESS
from rlvr.operate.doctor import __main__ as doctor
from rlvr.operate.doctor import compilers, exit_code, gpus, green, host, ray_worker, red, run, software, yellow
from rlvr.operate.doctor.host import GIB
from rlvr.operate.doctor.software import Import
from rlvr.training import flashinfer
from tests.conftest import ROOT


def levels(findings) -> list[str]:
    found = list(findings)
    assert all(bool(one.remedy) == (one.level != "green") for one in found), "what is not green has a remedy"
    return [one.level for one in found]


# ---- the machine


@pytest.mark.parametrize(
    ("host_cpus", "allowed_cpus", "ray_default", "num_cpus", "gpu_count", "level"),
    [
        (192, 8, 192, None, 1, "red"),  # frozen after "Started a local Ray instance"
        (192, 8, 192, 16, 1, "green"),
        (192, 192, 192, None, 8, "yellow"),
        (64, 64, 64, None, 8, "green"),
        (16, 16, 16, None, 8, "red"),  # the placement group would wait forever
        (64, 64, 64, 16, 8, "red"),
    ],
)
def test_ray_s_cpus(host_cpus, allowed_cpus, ray_default, num_cpus, gpu_count, level):
    assert levels(host.check_ray_cpus(host_cpus, allowed_cpus, ray_default, num_cpus, gpu_count)) == [level]


@pytest.mark.parametrize(
    ("findings", "level"),
    [
        (host.check_python((3, 11)), "green"),
        (host.check_python((3, 13)), "red"),
        (host.check_memory(512 * GIB, True), "green"),
        (host.check_memory(4 * GIB, False), "yellow"),
        (host.check_shared_memory(64 * GIB, True), "green"),
        (host.check_shared_memory(64 * 2**20, True), "red"),  # Docker's default
        (host.check_shared_memory(64 * 2**20, False), "yellow"),
        (host.check_shared_memory(4 * GIB, True), "yellow"),
        (host.check_file_descriptors(256, 256, False), "red"),
        (host.check_file_descriptors(20000, 20000, True), "yellow"),
        (host.check_file_descriptors(20000, 20000, False), "green"),
        (host.check_disk("disk", "runs", GIB, 100 * GIB), "red"),
        (host.check_disk("disk", "runs", 30 * GIB, 1000 * GIB), "yellow"),
        (host.check_disk("disk", "runs", 500 * GIB, 1000 * GIB), "green"),
    ],
)
def test_the_machine(findings, level):
    assert levels(findings) == [level]


# ---- GPUs

LISTED = "0, NVIDIA H100 80GB HBM3, 81559, 4, 570.124.06\n1, NVIDIA H100 80GB HBM3, 81559, 40000, 570.124.06\n"
HEADER = "| NVIDIA-SMI 570.124.06   Driver Version: 570.124.06   CUDA Version: 12.8  |"


def test_nvidia_smi_s_output():
    driver = nvidia_smi.parse(LISTED, HEADER)
    assert driver.cuda == (12, 8)
    assert [gpu.memory_used for gpu in driver.gpus] == [4, 40000]
    assert nvidia_smi.parse("0, NVIDIA GB10, [N/A], [N/A], 580.1\n", "").gpus[0].memory_total == 0


@pytest.mark.parametrize(
    ("driver", "wanted", "found"),
    [
        (None, None, ["green"]),
        (None, 8, ["red"]),
        (nvidia_smi.Driver(error="NVIDIA-SMI has failed"), 1, ["red"]),
        (nvidia_smi.parse(LISTED, HEADER), 2, ["green", "yellow"]),  # one is in use
        (nvidia_smi.parse(LISTED.splitlines()[0], HEADER), 8, ["red"]),
        (
            nvidia_smi.parse(LISTED.splitlines()[0] + "\n1, NVIDIA L4, 23034, 1, 570.124.06", HEADER),
            2,
            ["green", "yellow"],
        ),
    ],
)
def test_gpus(driver, wanted, found):
    assert levels(gpus.check(driver, wanted)) == found


# ---- software


def test_an_import_in_a_process_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "fine_module.py").write_text("__version__ = '1.2'\n")
    (tmp_path / "mismatched.py").write_text("raise ImportError('undefined symbol: _ZN3c10')\n")
    (tmp_path / "crashes.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert software.probe("fine_module") == Import({"version": "1.2"})
    assert software.probe("mismatched").error == "ImportError: undefined symbol: _ZN3c10"
    assert software.probe("crashes").error == "import was killed by signal 11"
    assert "No module named" in software.probe("absent_module").error


@pytest.mark.parametrize(
    ("torch", "driver_cuda", "level"),
    [
        ({"version": "2.11.0", "cuda": "12.8", "sees": 8}, (12, 8), "green"),
        ({"version": "2.11.0", "cuda": "13.0", "sees": 0}, (12, 8), "red"),
        ({"version": "2.11.0", "cuda": "12.9", "sees": 8}, (12, 8), "yellow"),
        ({"version": "2.11.0", "cuda": "12.8", "sees": 0}, (12, 8), "red"),
        ({"version": "2.13.0+cpu", "cuda": None, "sees": 0}, (12, 8), "red"),
    ],
)
def test_torch_and_the_driver(torch, driver_cuda, level):
    assert levels(software.check_cuda(Import(torch), driver_cuda)) == [level]


def test_flash_attention_that_does_not_match_is_red(monkeypatch):
    monkeypatch.setattr(software, "requirements", dict)
    imports = {
        "torch": Import({"version": "2.11.0", "cuda": "12.8", "sees": 8}),
        "flash_attn": Import({}, "ImportError: undefined symbol: _ZN3c10"),
    }
    lines = list(software.check(imports, True, (12, 8)))
    (flash,) = [line for line in lines if line.check == "flash_attn"]
    assert flash.level == "red" and "another torch" in flash.remedy
    assert exit_code(lines) == 1


def test_flash_attention_that_is_not_there_is_not_missed(monkeypatch):
    monkeypatch.setattr(software, "probe", lambda module: Import({"version": "1"}))
    assert list(software.probe_all(True)) == list(software.MODULES)


def test_what_is_compiled_while_a_run_starts(tmp_path, monkeypatch):
    assert levels(compilers.check_triton(None, tmp_path)) == ["red"]
    assert levels(compilers.check_triton("/usr/bin/cc", tmp_path)) == ["red"]
    (tmp_path / "Python.h").touch()
    assert levels(compilers.check_triton("/usr/bin/cc", tmp_path)) == ["green"]
    assert list(compilers.check(False)) == []
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    (line,) = compilers.check_flashinfer(flashinfer.nvcc())
    assert "VLLM_USE_FLASHINFER_SAMPLER=0" in line.message
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").touch()
    (line,) = compilers.check_flashinfer(flashinfer.nvcc())
    assert str(tmp_path) in line.message


def test_main_memory_that_the_run_would_not_have():
    assert levels(run.check_main_memory(177e9, 256 * GIB)) == ["green"]
    assert levels(run.check_main_memory(177e9, 128 * GIB)) == ["yellow"]


# ---- login nodes


def test_a_login_node_is_checked_for_a_run_elsewhere(monkeypatch, tmp_path):
    """No GPU, VERL_PLATFORM not set, the run on GPUs: nothing of the machine is red, and what was left out is said."""
    monkeypatch.delenv("VERL_PLATFORM")
    monkeypatch.setattr(nvidia_smi, "ask", lambda: None)
    monkeypatch.setattr(software, "probe", lambda module: Import({"version": "1", "cuda": "13.0", "sees": 0}))
    overrides = ["base_model=qwen2.5-math-7b", "machine=gpu80"]
    there = {line.check: line for line in doctor.findings("psr_nsr", overrides, False)}
    assert there["gpus"].level == there["cuda"].level == "red"
    lines = list(doctor.findings("psr_nsr", overrides, False, login_node=True))
    assert [line.level for line in lines if line.check == "gpus"] == ["yellow"]
    assert not [line for line in lines if line.check in ("cuda", "compiler")]
    assert not any("VERL_PLATFORM" in line.message or "torch sees no GPU" in line.message for line in lines)


@pytest.mark.parametrize(
    ("words", "on_cpu"),
    [
        (["--no-ray", "machine=gpu80"], False),
        (["base_model=tiny", "machine=cpu"], True),
        ([], True),
    ],
)
def test_the_script_takes_the_cpu_only_for_a_run_on_it(tmp_path, words, on_cpu):
    """On a machine without nvidia-smi; python3 only says what it was given."""
    stand_in = tmp_path / "python3"
    stand_in.write_text('#!/bin/sh\necho "${VERL_PLATFORM:-none} $*"\n')
    stand_in.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    for name in ("doctor", "env_cpu.sh", "activate.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    clean = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    result = subprocess.run(["bash", tmp_path / "scripts/doctor", *words], env=clean, capture_output=True, text=True)
    assert result.stdout.startswith("cpu " if on_cpu else "none "), result


def test_versions_that_do_not_fit():
    wanted = {
        "vllm": ["torch==2.11.0", "transformers>=5,<5.11", 'numpy>=9; extra == "more"', "absent==1"],
        "verl": ["ray>=2.41"],
    }
    versions = {"torch": "2.11.0+cu128", "transformers": "5.12.0", "numpy": "2.0", "ray": "2.60.0"}
    assert software.broken_pins(wanted, versions) == ["vllm needs transformers<5.11,>=5, installed is 5.12.0"]


# ---- the worker and the run


def record(**changes) -> dict:
    return {
        "host": "a",
        "plugin": True,
        "missing": [],
        "grades": [True, False],
        "versions": {"verl": "0.9.1"},
    } | changes


@pytest.mark.parametrize(
    ("records", "error", "found"),
    [
        ([record()], "", ["green", "green"]),
        ([], "Ray did not run a task within 300 s", ["red"]),
        ([record(plugin=False)], "", ["red", "green"]),
        ([record(missing=["policy loss decomposed"])], "", ["red", "green"]),
        ([record(grades=[False, False])], "", ["green", "red"]),
        ([record(), record(host="b", versions={"verl": "0.8.0"})], "", ["green"] * 4 + ["red"]),
    ],
)
def test_ray_workers(records, error, found):
    assert levels(ray_worker.check(records, error)) == found


def test_a_ray_that_hangs_is_asked_to_stop(tmp_path, monkeypatch):
    left, hanging = tmp_path / "left", tmp_path / "python"
    hanging.write_text(f"#!/bin/sh\ntrap 'echo stopped > {left}; exit' TERM\nsleep 60 &\nwait\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(ray_worker.sys, "executable", str(hanging))
    monkeypatch.setattr(ray_worker, "TIMEOUT_S", 2)
    assert ray_worker.probe() == ([], "Ray did not run a task within 2 s")
    assert left.read_text() == "stopped\n"


@pytest.mark.parametrize(("address", "niceness"), [(None, "0"), ("10.0.0.1:6379", None)])
def test_the_worker_has_the_priority_of_what_asks(monkeypatch, address, niceness):
    for name, value in {"RAY_ADDRESS": address, WORKER_NICENESS: None}.items():
        monkeypatch.setenv(name, value or "")  # so that it is as it was afterwards
        if value is None:
            monkeypatch.delenv(name)
    assert bool(ray_worker.of_its_own()) is (address is None)
    assert os.environ.get(WORKER_NICENESS) == niceness


def test_a_model_that_cannot_be_read(tmp_path):
    (tmp_path / "config.json").write_text("{")
    assert levels(run.check_model(str(tmp_path))) == ["red"]
    assert levels(run.check_model("nobody/has-this-model")) == ["yellow"]
    assert levels(run.check_model("/nowhere")) == []  # the run's own check names it


def test_the_planned_run_is_checked(monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    config = doctor.planned("psr_nsr", ["data.train_files=/no/such.parquet", "actor_rollout_ref.model.path=/no/model"])
    lines = list(run.check(config))
    assert {line.level for line in lines} == {"red"}
    text = " ".join(line.message for line in lines)
    assert "/no/such.parquet does not exist" in text and "/no/model does not exist" in text


def test_an_unknown_setting_is_a_red_line():
    lines = list(doctor.findings("psr_nsr", ["machine=nope"], with_ray=False))
    assert levels(lines) == ["red"] and "nope" in lines[0].message


# ---- the whole


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([green("a", "fine")], 0),
        ([green("a", "fine"), yellow("b", "so-so", "look")], 0),
        ([red("c", "bad", "mend it")], 1),
    ],
)
def test_exit_code_and_output(monkeypatch, capsys, lines, code):
    monkeypatch.setattr(doctor, "findings", lambda *_: iter(lines))
    assert doctor.main([]) == code
    said = capsys.readouterr().out
    assert all(line.message in said and line.remedy in said for line in lines)
    assert doctor.main(["--json"]) == code
    assert [json.loads(text)["level"] for text in capsys.readouterr().out.splitlines()] == [
        line.level for line in lines
    ]


def test_the_command_is_there():
    result = subprocess.run(
        [sys.executable, "-m", "rlvr.operate.doctor", "--help"], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0 and "--no-ray" in result.stdout
