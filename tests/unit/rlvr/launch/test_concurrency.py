"""How many samples a vLLM works on at once."""

import json

import pytest
from omegaconf import OmegaConf

from rlvr.launch import memory
from rlvr.launch.concurrency import UNKNOWN, max_num_seqs
from rlvr.launch.shapes import KNOWN, shape_of


def config(model="Qwen/Qwen2.5-Math-7B", gib=79.0, share=0.8, rank=0, tokens=1024, device="cuda"):
    return OmegaConf.create(
        {
            "actor_rollout_ref": {
                "model": {"path": model, "lora_rank": rank},
                "rollout": {"gpu_memory_utilization": share, "tensor_model_parallel_size": 1},
            },
            "trainer": {"device": device},
            "launch": {"gpu_memory_gib": gib, "assumed_sequence_tokens": tokens},
        }
    )


def test_by_hand():
    """0.8 × 79 GiB − 14.2 of weights − the runtime's, at 57,344 bytes a token and 1,024 tokens a sample."""
    room = 0.8 * 79 * memory.GIB - 2 * 7_615_616_512 - memory.VLLM_RUNTIME
    exact = room / 57_344 / 1024
    assert exact - 64 < max_num_seqs(_root_=config()) <= exact
    assert max_num_seqs(_root_=config()) % 64 == 0


@pytest.mark.parametrize("model", [name for name in KNOWN if "SmolLM2" not in name])
@pytest.mark.parametrize("gib", [23.5, 44.5, 79.0, 139.0])
def test_it_stays_within_bounds_and_the_cache(model, gib):
    samples = max_num_seqs(_root_=config(model, gib))
    assert 64 <= samples <= 1024
    shape = shape_of(KNOWN[model])
    room = 0.8 * gib * memory.GIB - 2 * shape.parameters - memory.VLLM_RUNTIME
    if samples > 64:
        assert samples * 1024 * memory.kv_bytes_per_token(shape, 1) <= room


def test_longer_samples_and_adapters_leave_room_for_fewer():
    assert max_num_seqs(_root_=config(tokens=4096)) < max_num_seqs(_root_=config())
    assert max_num_seqs(_root_=config(gib=44.5, rank=256)) < max_num_seqs(_root_=config(gib=44.5))


def test_what_is_not_known_gets_vllms_own(tmp_path):
    assert max_num_seqs(_root_=config(model="nobody/knows")) == UNKNOWN
    assert max_num_seqs(_root_=config(gib=None)) == UNKNOWN
    (tmp_path / "config.json").write_text('{"model_type": "other"}')
    assert max_num_seqs(_root_=config(model=str(tmp_path))) == UNKNOWN


@pytest.mark.parametrize(("words", "samples"), [(60, 1024), (16_384, 512), (49_152, 256), (152_064, 256)])
def test_a_small_vocabulary_lets_a_cpu_work_on_more_samples(tmp_path, words, samples):
    fields = KNOWN["Qwen/Qwen2.5-Math-7B"] | {"vocab_size": words}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert max_num_seqs(_root_=config(str(tmp_path), gib=None, device="cpu")) == samples


def test_a_cpu_takes_a_vocabulary_that_is_not_known_for_a_large_one():
    assert max_num_seqs(_root_=config("nobody/knows", gib=None, device="cpu")) == UNKNOWN
