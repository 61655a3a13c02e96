"""How many CPUs Ray is told of."""

from rlvr.launch.cpus import for_ray


def test_ray_gets_what_verl_books_and_not_a_host_of_cores():
    assert for_ray(gpus=1, allowed_cpus=2) == 16  # a laptop
    assert for_ray(gpus=1, allowed_cpus=24) == 24
    assert for_ray(gpus=8, allowed_cpus=16) == 72
    assert for_ray(gpus=8, allowed_cpus=512) == 144
