"""How many CPUs Ray is told of, and how many threads a process gets."""

from omegaconf import OmegaConf

from rlvr import machine
from rlvr.cluster.cpus import for_ray, threads


def test_ray_gets_what_verl_books_and_not_a_host_of_cores():
    assert for_ray(gpus=1, allowed_cpus=2) == 16  # a laptop
    assert for_ray(gpus=1, allowed_cpus=24) == 24
    assert for_ray(gpus=8, allowed_cpus=16) == 72
    assert for_ray(gpus=8, allowed_cpus=512) == 144


def test_the_cores_are_shared_among_the_gpus(monkeypatch):
    """Left to Ray, a process has one thread, and Adam in main memory is stepped by it."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    config = OmegaConf.create({"trainer": {"n_gpus_per_node": 8}})
    for cores, expected in ((192, "24"), (4, "1"), (1024, "32")):
        monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
        assert threads(_root_=config) == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads(_root_=config) == "5", "what the user has set"
