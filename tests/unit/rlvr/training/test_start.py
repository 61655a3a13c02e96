"""How training processes begin, and FlashInfer's sampler; the Hugging Face folder is in tests/integration/test_engine_lab.py."""

import json
import os
from types import SimpleNamespace

import pytest
import torch

from rlvr.training import flashinfer, hf_folder, start


def test_the_others_wait_an_hour_for_rank_0():
    asked = []
    distributed = SimpleNamespace(initialize_global_process_group_ray=lambda *given: asked.append(given))
    start.patch_timeout(distributed)
    distributed.initialize_global_process_group_ray(timeout_second=None)
    distributed.initialize_global_process_group_ray(60, "gloo")
    assert asked == [(3600, None), (60, "gloo")]


def test_processes_meet_where_the_kernel_puts_no_connection():
    asked = []

    class Group:
        def _get_master_addr_port(self, *given):
            asked.append(given)

    start.patch_master_port(SimpleNamespace(RayWorkerGroup=Group))
    for _ in range(50):
        Group()._get_master_addr_port("group", bundle_index=1)
    assert {given[:2] for given in asked} == {("group", 1)}
    assert all(20_000 <= first < last <= 30_000 for *_, (first, last) in asked)
    assert len({first for *_, (first, _) in asked}) > 25, "two runs on a node do not begin at the same port"
    Group()._get_master_addr_port("group", 0, [7000, 7100])
    assert asked[-1] == ("group", 0, [7000, 7100]), "what a caller asks for"


@pytest.mark.parametrize(("offload", "ranks", "moved"), [(None, 1, True), ("policy", 1, False), ("policy", 2, True)])
def test_weights_in_main_memory_do_not_pass_over_the_gpu(monkeypatch, offload, ranks, moved):
    seen, asked = [], []

    def device() -> str:
        asked.append("for a buffer")
        return "cpu"

    engine = SimpleNamespace(fsdp2_load_full_state_dict=lambda *given: seen.append(given), get_device_id=device)
    start.patch_loading(engine)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: ranks)
    model = torch.nn.BatchNorm1d(2)
    engine.fsdp2_load_full_state_dict(model, {}, "mesh", offload)
    assert bool(seen) is moved
    assert len(asked) == (0 if moved else len(list(model.buffers()))), "buffers go to where layers are computed"


@pytest.mark.parametrize(
    ("fields", "dtype"),
    [
        ({"dtype": "bfloat16"}, torch.bfloat16),
        ({"torch_dtype": "float16"}, torch.float16),
        ({"dtype": "float32"}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_the_dtype_that_a_model_was_published_in(tmp_path, fields, dtype):
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert hf_folder.published_dtype(SimpleNamespace(name_or_path=str(tmp_path))) is dtype
    assert hf_folder.published_dtype(SimpleNamespace(name_or_path=str(tmp_path / "absent"))) is torch.float32


def test_integers_are_left_alone_and_the_config_says_it_everywhere(tmp_path):
    state = hf_folder.converted({"weight": torch.ones(2), "ids": torch.ones(2, dtype=torch.int64)}, torch.bfloat16)
    assert (state["weight"].dtype, state["ids"].dtype) == (torch.bfloat16, torch.int64)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"torch_dtype": "float32", "text_config": {"dtype": "float32", "layers": 2}}))
    hf_folder.say_dtype(file, torch.bfloat16)
    found = json.loads(file.read_text())
    assert found == {"torch_dtype": "bfloat16", "dtype": "bfloat16", "text_config": {"dtype": "bfloat16", "layers": 2}}


def test_flashinfer_draws_only_where_it_can_be_compiled(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.delenv(flashinfer.SWITCH, raising=False)
    flashinfer.register()
    assert os.environ[flashinfer.SWITCH] == "0"
    monkeypatch.setenv(flashinfer.SWITCH, "1")
    flashinfer.register()
    assert os.environ[flashinfer.SWITCH] == "1", "what the user has set"
    monkeypatch.delenv(flashinfer.SWITCH)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").touch()
    flashinfer.register()
    assert flashinfer.SWITCH not in os.environ
