"""How many CPUs Ray is told of, on machines that are files in a folder."""

import os

import pytest

from rlvr.launch.cpus import allowed, for_ray


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(128)))


def test_a_containers_quota_counts_not_the_hosts_cores(tmp_path, many_cores):
    (tmp_path / "cpu.max").write_text("1650000 100000\n")
    assert allowed(tmp_path) == 16
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert allowed(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert allowed(tmp_path) == 128


def test_the_first_version_of_cgroups(tmp_path, many_cores):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("400000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert allowed(tmp_path) == 4
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert allowed(tmp_path) == 128


def test_without_a_quota_affinity_counts(tmp_path, many_cores):
    assert allowed(tmp_path) == 128


def test_ray_gets_what_verl_books_and_not_a_host_of_cores():
    assert for_ray(gpus=1, allowed_cpus=2) == 16  # a laptop
    assert for_ray(gpus=1, allowed_cpus=24) == 24
    assert for_ray(gpus=8, allowed_cpus=16) == 72
    assert for_ray(gpus=8, allowed_cpus=512) == 144
