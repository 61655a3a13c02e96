"""The weight bucket holds the model's largest tensor; where it does not, verl would say so at the first weight sync."""

import asyncio
import json
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rlvr.launch import bucket, shapes

SMOLLM2_135M = {  # https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct/blob/main/config.json
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_hidden_layers": 2,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
    "vocab_size": 49152,
}
NARROW = {"model_type": "qwen2", "hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 32}


@pytest.fixture
def config(tmp_path):
    def make(fields, megabytes="${weight_bucket:64}", device="cpu", dtype="fp32", replicas=1):
        (tmp_path / "config.json").write_text(json.dumps(fields))
        return OmegaConf.create(
            {
                "trainer": {"device": device, "n_gpus_per_node": replicas},
                "actor_rollout_ref": {
                    "model": {"path": str(tmp_path)},
                    "actor": {"fsdp_config": {"model_dtype": dtype}},
                    "rollout": {"checkpoint_engine": {"update_weights_bucket_megabytes": megabytes}},
                },
            }
        )

    import verl  # noqa: F401  (loads the plugin, which registers the resolver)

    return make


def size(config) -> int:
    return config.actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes


def test_the_bucket_of_the_cpu_grows_with_the_model(config):
    assert size(config(NARROW)) == 64
    assert size(config(SMOLLM2_135M)) == 108  # 49152 × 576 × 4 bytes, exactly
    assert size(config(SMOLLM2_135M, dtype="bf16")) == 64


def test_the_largest_tensor_need_not_be_the_embedding(config):
    wide = NARROW | {"intermediate_size": 2**19}
    name, elements = bucket.largest_sent(config(wide))
    assert "mlp" in name and elements == 64 * 2**19 * 4
    assert size(config(wide)) == 128


def test_one_line_names_a_bucket_that_is_too_small(config):
    assert list(bucket.check(config(SMOLLM2_135M))) == []
    assert list(bucket.check(config(SMOLLM2_135M, 108))) == []
    (problem,) = bucket.check(config(SMOLLM2_135M, 107))
    for named in (f"{bucket.KEY}=107", "model.embed_tokens.weight", "108.0 MiB", "set it to 108 or more"):
        assert named in problem


def test_one_line_names_shared_memory_that_is_too_small(config, monkeypatch):
    monkeypatch.setattr(bucket.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 64 * 2**20}))
    assert list(bucket.check(config(NARROW))) == []
    (problem,) = bucket.check(config(NARROW, replicas=2))
    assert "2 of them do not fit into /dev/shm" in problem and "--shm-size" in problem


def test_on_a_gpu_no_bucket_is_too_small(config):
    """verl sends a larger tensor by its handle there: the test below shows where."""
    assert list(bucket.check(config(shapes.KNOWN["Qwen/Qwen2.5-Math-7B"], 64, device="cuda"))) == []


@pytest.mark.parametrize("fields", [{}, {"model_type": "nobody's"}, {"model_type": "llama", "hidden_size": "wide"}])
def test_of_a_model_that_is_not_known_nothing_is_demanded(config, fields):
    assert size(config(fields)) == 64
    assert list(bucket.check(config(fields, 1))) == []


@settings(max_examples=25, deadline=None)
@given(
    vocab=st.integers(3, 200_000),
    hidden=st.sampled_from([64, 256, 576, 2048]),
    intermediate=st.integers(1, 8192),
    tied=st.booleans(),
    kind=st.sampled_from(shapes.DENSE),
)
def test_no_tensor_is_larger_than_what_is_taken_for_the_largest(vocab, hidden, intermediate, tied, kind):
    fields = NARROW | {"model_type": kind, "vocab_size": vocab, "hidden_size": hidden, "tie_word_embeddings": tied}
    fields |= {
        "intermediate_size": intermediate,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 64,
    }
    shape = shapes.shape_of(fields)
    largest = max(shape.embedding, *(rows * columns for rows, columns in shape.linear))
    assert bucket.largest_tensor(json.dumps(fields))[1] == largest


# ---- shown on verl: if one of these fails, verl has learned it and the check can go


@pytest.mark.parametrize(("elements", "fits"), [(2**18, True), (2**18 + 1, False)])
def test_verl_without_shared_handles_refuses_a_tensor_larger_than_the_bucket(tmp_path, elements, fits):
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver, BucketedWeightSender

    address = f"ipc://{tmp_path}/weights"
    receiver = BucketedWeightReceiver(address, torch.device("cpu"), use_shm=True)
    received = []

    def receive():
        receiver._init_socket()
        receiver._init_buffer()
        if fits:
            received.extend(receiver.socket.recv_pyobj()["bucket_meta"])
            receiver.socket.send(b"")

    thread = threading.Thread(target=receive)
    thread.start()
    sender = BucketedWeightSender(address, bucket_size_mb=1, use_shm=True)
    sending = sender.async_send_weights(iter([("weight", torch.zeros(elements))]))
    if fits:
        asyncio.run(sending)
    else:
        with pytest.raises(AssertionError, match="too large to fit in the bucket"):
            asyncio.run(sending)
    thread.join()
    receiver._cleanup()
    assert received == (["weight"] if fits else [])


def test_verl_with_shared_handles_sends_it_by_itself():
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender

    sender = BucketedWeightSender("ipc:///nowhere", bucket_size_mb=1, use_shm=False)
    sent = []
    sender._init_socket = sender._init_buffer = sender._cleanup = lambda: None
    sender._direct_send_large_weight = lambda name, weight: sent.append(name)
    sender.socket = type("Socket", (), {"send_pyobj": lambda *_: None, "recv": lambda _: b""})()
    asyncio.run(sender.async_send_weights(iter([("weight", torch.zeros(2**18 + 1))])))
    assert sent == ["weight"]
