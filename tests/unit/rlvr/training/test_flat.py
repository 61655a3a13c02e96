"""Without padding as with it: every figure against upstream's trainer on the same batch."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta

from rlvr.training import flat
from tests.unit.rlvr.training.one_batch import CONFIG, Queue, jagged, step


@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.integers(0, 99), st.integers(0, 1), st.booleans())
@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize("estimator", ["psr_nsr", "grpo"])
def test_every_metric_and_field_is_upstreams(estimator, lengths, seed, padding, batched):
    ours_in, theirs_in = Queue(lengths, seed, padding), Queue(lengths, seed, padding)
    ours = step(estimator, ours_in, padded=False, batched=batched)
    theirs = step(estimator, theirs_in, padded=True)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if name.startswith("timing"):  # how long it took
            continue
        assert float(ours[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-5, nan_ok=True), name
    for name in ("old_log_probs", "entropy", "advantages"):
        torch.testing.assert_close(ours_in.fields[name].values(), theirs_in.fields[name].values())
        assert torch.equal(ours_in.fields[name].offsets(), theirs_in.fields[name].offsets())


def test_what_works_on_no_row_needs_no_padding():
    assert flat.applies(OmegaConf.create(CONFIG))


@pytest.mark.parametrize(
    "change",
    [
        "algorithm.adv_estimator=gae",
        "algorithm.adv_estimator=a_method_of_your_own",
        "algorithm.use_kl_in_reward=true",
        "algorithm.rollout_correction.bypass_mode=true",
        "algorithm.rollout_correction.rollout_is=token",
        "critic.enable=true",
        "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean",
        "actor_rollout_ref.rollout.moe_load_balance_metrics_interval=1",
    ],
)
def test_what_works_on_rows_keeps_upstreams_way(change):
    assert not flat.applies(OmegaConf.merge(CONFIG, OmegaConf.from_dotlist([change])))


def test_a_field_is_fetched_once_and_rows_stay_as_they_are(monkeypatch):
    queue, asked = Queue([2, 3], seed=0), []

    def get(keys, partition_id, select_fields):
        asked.extend(select_fields)
        return queue.get(keys, partition_id, select_fields)

    monkeypatch.setattr(flat, "tq", SimpleNamespace(kv_batch_get=get))
    seen = flat.Seen(queue.batch, is_batched=False)
    first = seen.get(queue.batch, ["response_mask", "log_probs"])
    again = seen.get(queue.batch, ["response_mask", "entropy"])
    assert asked == ["response_mask", "log_probs", "entropy"] and again["response_mask"] is first["response_mask"]
    assert seen.fields.keys() == {"response_mask"}, "what is not read again is let go"
    with pytest.raises(RuntimeError, match="rows of a step changed"):
        seen.get(KVBatchMeta(queue.keys[::-1], queue.tags[::-1], "train"), ["entropy"])


def test_the_mask_of_our_rollouts_is_known_without_asking():
    queue = Queue([2, 3, 1], seed=0, padding=1)
    known = flat.Seen(queue.batch, is_batched=True).get(queue.batch, ["response_mask"])["response_mask"]
    assert torch.equal(known.values(), queue.fields["response_mask"].values())
    assert torch.equal(known.offsets(), queue.fields["response_mask"].offsets())


@pytest.mark.parametrize("wanted", [True, False])
def test_what_the_trainer_computes_is_stored_at_once_and_entropy_for_who_reads_it(monkeypatch, wanted):
    queue, puts, metrics = Queue([2, 3], seed=0), [], {}

    def put(keys, partition_id, fields):
        puts.append(set(fields.keys()))
        return queue.put(keys, partition_id, fields)

    monkeypatch.setattr(flat, "tq", SimpleNamespace(kv_batch_get=queue.get, kv_batch_put=put))
    seen = flat.Seen(queue.batch, is_batched=False)
    flat.take_old_log_probs(queue.batch, seen, metrics, with_rollout=False, with_entropy=wanted)
    assert metrics["actor/entropy"] < 0
    flat.store_advantages(queue.batch, seen, OmegaConf.create(CONFIG))
    assert puts == [{"old_log_probs", "advantages"} | ({"entropy"} if wanted else set())]


def test_padding_rows_are_left_out():
    field = jagged([[1.0], [2.0, 3.0], [4.0]])
    found = flat.of_rows(field, torch.tensor([True, False, True]))
    assert [row.tolist() for row in found.unbind()] == [[1.0], [4.0]]
