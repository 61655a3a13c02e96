"""The memory estimate: figures worked out by hand, and what must hold whatever the settings."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.launch import advice, memory
from rlvr.launch.memory import GIB, Engine, Rollout, Settings
from rlvr.launch.shapes import KNOWN, Shape, shape_of

QWEN_7B = shape_of(KNOWN["Qwen/Qwen2.5-Math-7B"])
QWEN_4B = shape_of(KNOWN["Qwen/Qwen3-4B"])
# 2 layers; a layer: 8·8 + 8·4 + 8·4 + 8·8 = 192 of attention, 3·8·16 = 384 of the MLP, 16 of norms: 592; an embedding: 800
SMALL = Shape("llama", 2, 8, 16, heads=2, kv_heads=1, head_dim=4, vocab=100, tied=False, max_positions=64)


def engine(shape: Shape, **changes) -> Engine:
    fields = Engine(
        parameters=shape.parameters,
        trainable=shape.parameters,
        logits=shape.vocab,
        master_bytes=4,
        tokens=4096,
        inference_tokens=4096,
        entropy=True,
        checkpointing=True,
        fused=False,
        foreach=False,
        offload_policy=False,
        param_offload=False,
        optimizer_offload=False,
        deferred_sync=False,
        tensors=tuple(shape.tensors),
        trainable_tensors=tuple(shape.tensors),
    )
    return replace(fields, **changes)


def settings(shape: Shape = QWEN_7B, shards: int = 8, critic: Engine | None = None, **actor) -> Settings:
    rollout = Rollout(share=0.6, tensor_parallel=1, sequence=4096, bucket=2 * GIB, keeps_weights=False)
    return Settings(shape, shards, engine(shape, **actor), critic, 0, least_tokens=4096, rollout=rollout)


def critic_of(shape: Shape = QWEN_7B, **changes) -> Engine:
    size = shape.value_parameters
    tensors = tuple(shape.value_tensors)
    fields = {"parameters": size, "trainable": size, "tensors": tensors, "trainable_tensors": tensors, "logits": 1}
    return engine(shape, entropy=False, **fields | changes)


def test_a_small_model_by_hand():
    assert (SMALL.layer, SMALL.parameters) == (592, 2 * 592 + 8 + 2 * 800)
    parts = memory.update(settings(SMALL, shards=2, tokens=10), engine(SMALL, tokens=10), None)
    assert parts["weights"] == parts["gradients"] == 2792 * 4 / 2
    assert parts["optimizer"] == 2 * 2792 * 4 / 2
    # a layer keeps 24·8 + 6·8 + 8·4 + 8·16 = 400 bytes a token; checkpoints are 2 layers × 8 values of 2 bytes;
    # gradients flow through 4·16 + 4·8 bytes
    assert parts["activations"] == 10 * (2 * 2 * 8 + 400 + 96)
    # logits, their gradient, the softmax and the entropy's gradient in bf16
    assert parts["logits"] == 10 * 100 * 2 * 4
    # two layers and an embedding in bf16; the embedding's gradient in bf16 and float32
    assert parts["gathered layers"] == 2 * (2 * 592 + 800) + 800 * 6


def test_seven_billion_parameters_need_sixteen_bytes_each():
    """The known figure for Adam with float32 master weights: 7.6e9 × 16 = 122 GB."""
    parts = memory.update(settings(shards=1), engine(QWEN_7B), None)
    assert sum(parts[name] for name in ("weights", "gradients", "optimizer")) == 16 * 7_615_616_512


def test_the_kv_cache_by_hand():
    assert memory.kv_bytes_per_token(QWEN_7B, 1) == 2 * 28 * 4 * 128 * 2  # 57,344
    assert memory.kv_bytes_per_token(QWEN_7B, 4) == 2 * 28 * 1 * 128 * 2
    assert memory.kv_bytes_per_token(QWEN_7B, 8) == memory.kv_bytes_per_token(QWEN_7B, 4), "heads are copied"
    found = memory.estimate(settings(), 80 * GIB)
    room = 0.6 * 80 * GIB - 2 * 7_615_616_512 - memory.VLLM_RUNTIME
    assert found.kv_tokens == int(room // 57_344)
    assert found.sequences == pytest.approx(found.kv_tokens / 4096)


def test_the_logits_by_what_is_asked_of_them():
    one = 4096 * 152_064 * 2
    assert memory.logits(engine(QWEN_7B), training=True) == 4 * one
    assert memory.logits(engine(QWEN_7B, entropy=False), training=True) == 2 * one
    assert memory.logits(engine(QWEN_7B), training=False) == 3 * one
    fused = memory.logits(engine(QWEN_7B, fused=True, tokens=32768), training=True)
    assert fused == 512 * 152_064 * 16, "does not grow with the tokens"


def test_where_states_wait():
    offloaded = settings(param_offload=True, optimizer_offload=True, critic=critic_of())
    phases = memory.estimate(offloaded, 80 * GIB).phases
    assert phases["rollout"]["weights"] == phases["rollout"]["optimizer"] == 0
    assert phases["actor update"]["weights"] > 0 and phases["actor update"]["optimizer"] > 0
    assert phases["log-probs"]["weights"] > 0 and phases["log-probs"]["optimizer"] == 0
    assert phases["rollout"]["the other model"] == 3 * 4 * QWEN_7B.value_parameters / 8
    assert phases["critic update"]["the other model"] == 0
    assert memory.host(offloaded) == 3 * memory.pinned(QWEN_7B.tensors, 4, 8)

    in_main_memory = settings(shards=1, offload_policy=True)
    update = memory.estimate(in_main_memory, 80 * GIB).phases["actor update"]
    assert update["weights"] == update["gradients"] == update["optimizer"] == 0
    moved = memory.pinned(QWEN_7B.tensors, 4, 1)  # parameters, and gradients; Adam's values stay and are not pinned
    assert memory.host(in_main_memory) == 2 * moved + 8 * QWEN_7B.parameters


def test_pinned_memory_is_rounded_up_to_powers_of_two():
    assert memory.pinned([1], 4, 1) == 4 and memory.pinned([5], 4, 1) == 32 and memory.pinned([8], 4, 1) == 32
    assert memory.pinned([10, 3], 4, 2) == 32 + 8, "a part of 5 and one of 2 parameters"
    # Of a 7B model in float32: 30.5 GB become 57.9
    assert memory.pinned(QWEN_7B.tensors, 4, 1) / 1e9 == pytest.approx(57.9, abs=0.05)
    assert 1 <= memory.pinned(QWEN_7B.tensors, 4, 8) * 8 / (4 * QWEN_7B.parameters) < 2


def test_gradients_that_wait_for_the_last_micro_batch_are_whole_and_in_float32():
    at_once, deferred = (settings(shards=8, offload_policy=True, deferred_sync=later) for later in (False, True))
    more = memory.update(deferred, deferred.actor, None)["deferred gradients"]
    assert more == 4 * QWEN_7B.parameters
    assert memory.update(at_once, at_once.actor, None)["deferred gradients"] == 0


def test_every_process_reads_a_model_whose_embeddings_are_one():
    """Qwen3-4B on eight GPUs: 129 GB for a moment; Qwen2.5-7B is read once."""
    assert 8 * memory.loading(settings(QWEN_4B)) / 1e9 == pytest.approx(128.7, abs=0.1)
    assert 8 * memory.loading(settings(QWEN_7B)) == 4 * QWEN_7B.parameters


def test_adapters_are_all_that_lora_trains():
    rank = 64
    adapters = QWEN_7B.adapters(rank)
    lora = settings(shards=1, parameters=QWEN_7B.parameters + adapters, trainable=adapters)
    update = memory.estimate(lora, 80 * GIB).phases["actor update"]
    assert update["gradients"] == 4 * adapters and update["optimizer"] == 8 * adapters
    assert update["weights"] == 4 * (QWEN_7B.parameters + adapters)
    sync = memory.estimate(lora, 80 * GIB).phases["weights to vLLM"]
    assert sync["bucket and one tensor"] == lora.rollout.bucket
    in_full = memory.estimate(settings(), 80 * GIB).phases["weights to vLLM"]
    assert in_full["bucket and one tensor"] == lora.rollout.bucket + 4 * 152_064 * 3584


def test_torchs_default_optimizer_copies_all_parameters():
    """Only where the copy is larger than the activations, which are gone by then."""
    large = memory.estimate(settings(shards=1, foreach=True), 141 * GIB)
    assert large.phases["actor update"]["optimizer's temporary copy"] == 4 * QWEN_7B.parameters
    assert "logits" in memory.estimate(settings(shards=8, foreach=True), 141 * GIB).phases["actor update"]


def test_knobs_make_it_fit():
    """4,096 tokens are one sequence, so the budget cannot shrink; states can move, and the optimizer need not copy."""
    gpu = 139 * GIB
    tight = settings(shards=1, foreach=True, param_offload=True, optimizer_offload=True)
    assert not memory.estimate(tight, gpu).fits
    knobs = advice.helps(tight, gpu)
    assert [override for override, _ in knobs] == [
        "actor_rollout_ref.actor.optim.override_optimizer_config={fused:true}",
        "actor_rollout_ref.actor.fsdp_config.offload_policy=true",
    ]
    assert all(after.fits for _, after in knobs)


def test_a_share_of_vllm_that_is_too_small_or_too_large_is_set_right():
    for share in (0.15, 0.99):
        wrong = settings()
        wrong = replace(wrong, rollout=replace(wrong.rollout, share=share))
        assert not memory.estimate(wrong, 80 * GIB).fits
        (override, after), *_ = advice.helps(wrong, 80 * GIB)
        assert override.startswith("actor_rollout_ref.rollout.gpu_memory_utilization=")
        assert after.fits


def test_fused_kernels_are_offered_only_where_they_work():
    small_gpu = 20 * GIB
    for shape, offered in ((QWEN_4B, True), (QWEN_7B, False)):
        overrides = [override for override, _ in advice.changes(settings(shape, tokens=32768), small_gpu)]
        assert any("use_fused_kernels" in override for override in overrides) == offered


choices = st.builds(
    settings,
    shape=st.sampled_from([QWEN_7B, QWEN_4B, SMALL]),
    shards=st.sampled_from([1, 2, 8, 16]),
    critic=st.one_of(st.none(), st.just(critic_of())),
    tokens=st.integers(4096, 65536),
    inference_tokens=st.integers(4096, 65536),
    entropy=st.booleans(),
    checkpointing=st.booleans(),
    fused=st.booleans(),
    foreach=st.booleans(),
    offload_policy=st.booleans(),
    param_offload=st.booleans(),
    optimizer_offload=st.booleans(),
    deferred_sync=st.booleans(),
)


def peaks(chosen: Settings) -> list[float]:
    found = memory.estimate(chosen, 80 * GIB)
    return [found.peak(phase) for phase in found.phases]


def none_higher(lower: Settings, higher: Settings) -> bool:
    """With the tolerance of float sums."""
    return all(a <= b * (1 + 1e-12) for a, b in zip(peaks(lower), peaks(higher), strict=True))


@given(chosen=choices, more=st.integers(0, 10_000))
def test_more_tokens_never_need_less(chosen, more):
    actor = chosen.actor
    larger = replace(actor, tokens=actor.tokens + more, inference_tokens=actor.inference_tokens + more)
    assert none_higher(chosen, replace(chosen, actor=larger))


@given(chosen=choices, factor=st.integers(1, 8))
def test_more_gpus_never_need_more(chosen, factor):
    assert none_higher(replace(chosen, shards=chosen.shards * factor), chosen)
    assert memory.host(replace(chosen, shards=chosen.shards * factor)) <= memory.host(chosen)


@given(chosen=choices)
def test_offloading_and_checkpointing_never_need_more_on_the_gpu(chosen):
    actor = chosen.actor
    for changed in (
        replace(actor, param_offload=True, optimizer_offload=True),
        replace(actor, offload_policy=True),
        replace(actor, entropy=False),
    ):
        assert none_higher(replace(chosen, actor=changed), chosen)


@given(chosen=choices, gib=st.floats(1, 200))
def test_no_part_is_negative_and_knobs_help(chosen, gib):
    found = memory.estimate(chosen, gib * GIB)
    assert all(part >= 0 for parts in found.phases.values() for part in parts.values())
    knobs = advice.helps(chosen, gib * GIB)
    assert len(knobs) <= 2
    assert all(after.shortage < found.shortage for _, after in knobs)
    if found.fits:
        assert knobs == []
