"""The plugin registers what it says, in every process that imports verl; the CPU device only where it is chosen."""

import json
import os
import subprocess
import sys

import pytest

PROBE = """
import json, sys, verl
from verl.plugin.platform import PlatformRegistry
import verl.single_controller.ray.base, verl.utils.distributed, verl.utils.model
import verl.utils.seqlen_balancing, verl.utils.tensordict_utils
print(json.dumps({
    "plugin": "rlvr.plugin" in sys.modules,
    "trainer_imported": "rlvr.training.trainer" in sys.modules,
    "cpu_imported": [name for name in sys.modules if name.startswith("rlvr.cpu.")],
    "platforms": PlatformRegistry.registered_names(),
    "patched": [f.__globals__["__name__"] for f in (
        verl.single_controller.ray.base.RayWorkerGroup._get_master_addr_port,
        verl.utils.distributed.initialize_global_process_group_ray,
        verl.utils.model.load_valuehead_model,
        verl.utils.seqlen_balancing.karmarkar_karp,
        verl.utils.tensordict_utils.index_select_tensor_dict,
    ) if f.__globals__["__name__"].startswith("rlvr")],
    "missing": sys.modules["rlvr.plugin"].missing_registrations(),
}))
"""
ON_EVERY_DEVICE = [
    "rlvr.training.start",
    "rlvr.training.value_model",
    "rlvr.training.balance",
    "rlvr.training.micro_batches",
]


def probe(**environment: str) -> dict:
    clean = {key: value for key, value in os.environ.items() if key != "VERL_PLATFORM"}
    result = subprocess.run(
        [sys.executable, "-c", PROBE], env=clean | environment, capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def on_cpu():
    return probe(VERL_PLATFORM="cpu")


@pytest.fixture(scope="module")
def elsewhere():
    return probe()


def test_import_verl_loads_the_plugin_and_registers_everything(on_cpu, elsewhere):
    for found in (on_cpu, elsewhere):
        assert found["plugin"]
        assert found["missing"] == []


def test_nothing_of_the_cpu_is_active_where_it_is_not_chosen(elsewhere):
    assert elsewhere["cpu_imported"] == []
    assert "cpu" not in elsewhere["platforms"]
    assert elsewhere["patched"] == ["rlvr.training.start", *ON_EVERY_DEVICE]


def test_the_cpu_where_it_is_chosen(on_cpu):
    assert "cpu" in on_cpu["platforms"]
    assert on_cpu["patched"] == ["rlvr.training.start", "rlvr.cpu.patches", *ON_EVERY_DEVICE[1:]]


def test_a_process_that_needs_no_trainer_does_not_import_one(elsewhere):
    assert not elsewhere["trainer_imported"]


def test_a_missing_registration_is_noticed(monkeypatch):
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    import verl  # noqa: F401
    from rlvr import plugin

    monkeypatch.delitem(POLICY_LOSS_REGISTRY, "decomposed")
    assert plugin.missing_registrations() == ["policy loss decomposed"]
