"""What may be used of machines that are files in a folder, and of this one."""

import os
from collections import namedtuple

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr import machine

GIB = 2**30


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(128)))


@pytest.fixture
def large_memory(monkeypatch):
    memory = namedtuple("Memory", "total available")(1024 * GIB, 900 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


@pytest.fixture
def group(tmp_path):
    """Write a control group's files; ``group("job", "memory.max", 5)``, with the process in it."""
    own = tmp_path / "own"
    own.write_text("0::/\n")

    def write(path: str, name: str, value: object) -> tuple:
        folder = tmp_path / "cgroup" / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{value}\n")
        return tmp_path / "cgroup", own

    write.own = own
    return write


def test_a_containers_quota_counts_not_the_hosts_cores(group, many_cores):
    assert machine.cores(*group("", "cpu.max", "1650000 100000")) == 16
    assert machine.cores(*group("", "cpu.max", "50000 100000")) == 1
    assert machine.cores(*group("", "cpu.max", "max 100000")) == 128


def test_the_first_version_of_cgroups(group, many_cores, large_memory):
    group.own.write_text("4:memory:/job\n3:cpuset:/\n2:cpu,cpuacct:/job\n1:name=systemd:/\n")
    group("cpu/job", "cpu.cfs_quota_us", 400000)
    assert machine.cores(*group("cpu/job", "cpu.cfs_period_us", 100000)) == 4
    assert machine.cores(*group("cpu/job", "cpu.cfs_quota_us", -1)) == 128
    group("memory/job", "memory.limit_in_bytes", 8 * GIB)
    group("memory/job", "memory.stat", f"inactive_file 1\ntotal_inactive_file {GIB}\ntotal_active_file {GIB}")
    places = group("memory/job", "memory.usage_in_bytes", 5 * GIB)
    assert machine.total_memory(*places) == 8 * GIB
    assert machine.free_memory(*places) == 5 * GIB, "files in memory are given up when it is short"


def test_without_limits_the_machine_counts(tmp_path, many_cores, large_memory):
    for own in ("0::/\n", ""):
        (tmp_path / "own").write_text(own)
        places = (tmp_path / "nothing", tmp_path / "own")
        assert machine.cores(*places) == 128
        assert (machine.total_memory(*places), machine.free_memory(*places)) == (1024 * GIB, 900 * GIB)


def test_a_batch_job_is_a_group_in_a_group(group, many_cores, large_memory):
    group.own.write_text("0::/slurm/job_7/step_0\n")
    group("slurm/job_7", "cpu.max", "800000 100000")
    group("slurm/job_7", "memory.max", 64 * GIB)
    group("slurm/job_7", "memory.current", 60 * GIB)
    group("slurm/job_7/step_0", "memory.max", "max")
    places = group("", "cpu.max", "max 100000")
    assert (machine.cores(*places), machine.total_memory(*places)) == (8, 64 * GIB)
    assert machine.free_memory(*places) == 4 * GIB
    group.own.write_text("0::/a/path/that/the/container/does/not/see\n")
    assert machine.cores(*group("", "cpu.max", "200000 100000")) == 2


@given(limit=st.integers(1, 2000 * GIB), used=st.integers(0, 2000 * GIB), files=st.integers(0, 2000 * GIB))
def test_free_memory_is_never_negative_nor_more_than_there_is(limit, used, files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    for name, value in {"own": "0::/", "memory.max": limit, "memory.current": used}.items():
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")
    places = (folder, folder / "own")
    assert 0 <= machine.free_memory(*places) <= machine.total_memory(*places) <= limit


def test_busy_cores_are_those_of_this_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: [100.0, 100.0, 50.0])
    assert machine.busy_cores(0.1) == pytest.approx(1.5)


def test_threads_look_for_a_moment_and_then_sleep():
    environment: dict[str, str] = {}
    machine.set_thread_waiting(environment)
    assert environment == {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}


@pytest.mark.parametrize("users", [{"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "passive"}])
def test_what_the_user_says_of_waiting_is_left_alone(users):
    environment = dict(users)
    machine.set_thread_waiting(environment)
    assert environment == users
    environment = {"GOMP_SPINCOUNT": "5"}
    machine.set_thread_waiting(environment)
    assert environment["GOMP_SPINCOUNT"] == "5"
