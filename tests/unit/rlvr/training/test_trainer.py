"""The arithmetic of the trainer's mini-batches; what it does on an engine is tested in tests/integration."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from rlvr.training.checkpoints import Resume, flaw
from rlvr.training.fields import send_tensors_only, tensor_fields
from rlvr.training.mini_batches import mini_batches
from rlvr.training.old_log_probs import needs_old_log_probs
from rlvr.training.trainer import DecomposedTrainer


def trainer(kept: int, use_critic: bool = False) -> DecomposedTrainer:
    """A trainer without an engine: 4 questions × 8 samples a full mini-batch."""
    bare = DecomposedTrainer.__new__(DecomposedTrainer)
    bare.config = OmegaConf.create(
        {
            "actor_rollout_ref": {"actor": {"ppo_mini_batch_size": 4}, "rollout": {"n": 8}},
            "critic": {"ppo_mini_batch_size": 4},
            "trainer": {"critic_warmup": 0},
        }
    )
    bare.use_critic = use_critic
    bare.global_steps = 1
    bare.mini_batches = mini_batches(kept, bare._mini_batch_samples())
    return bare


@given(st.integers(1, 4096), st.sampled_from([1, 2, 4, 8]))
def test_padding_is_less_than_one_sample_a_worker_and_mini_batch(kept, dp_size):
    one = trainer(kept)
    multiple = one._get_required_batch_multiple(dp_size)
    padded = math.ceil(kept / multiple) * multiple
    assert padded - kept < dp_size * one.mini_batches
    assert (padded // one.mini_batches) % dp_size == 0
    # No mini-batch is larger than a full one, but for the rows that make it divisible by the workers.
    assert padded // one.mini_batches <= 32 + dp_size - 1


@pytest.mark.parametrize(("kept", "expected"), [(1, 1), (32, 1), (33, 2), (128, 4), (129, 5)])
def test_mini_batches_count_only_what_is_kept(kept, expected):
    assert trainer(kept).mini_batches == expected


def test_a_critic_needs_whole_mini_batches():
    assert trainer(33, use_critic=True)._get_required_batch_multiple(1) == 32


def test_workers_get_the_tensors_of_a_batch_and_nothing_else():
    schema = {"input_ids": {"is_non_tensor": False}, "extra_fields": {"is_non_tensor": True}}
    assert tensor_fields(schema) == ["input_ids"]


def test_workers_fetch_what_they_read(monkeypatch):
    """The schema comes from one row of each kind: padding rows have fields that samples lack."""
    fields = ["input_ids", "loss_mask", "rm_scores", "advantages", "returns", "a field of your own", "extra_fields"]
    asked = []

    def schema(batch):
        asked.append(batch.keys)
        return SimpleNamespace(field_schema={name: {"is_non_tensor": name == "extra_fields"} for name in fields})

    monkeypatch.setattr("rlvr.training.fields.kv_batch_meta2batch_meta", schema)
    group = SimpleNamespace(compute_log_prob=lambda batch: batch.fields, update_actor=lambda batch: batch.fields)
    send_tensors_only(group)
    batch = KVBatchMeta(list("abcd"), [{}, {}, {"is_padding": True}, {}], "train")
    assert group.compute_log_prob(batch) == ["input_ids", "loss_mask", "a field of your own"]
    assert group.update_actor(batch) == ["input_ids", "loss_mask", "advantages", "a field of your own"]
    assert asked == [["d", "c"], ["d", "c"]]


ONE_UPDATE = {
    "algorithm": {"use_kl_in_reward": False},
    "actor_rollout_ref": {
        "actor": {
            "ppo_epochs": 1,
            "calculate_entropy": False,
            "entropy_coeff": 1e-4,
            "policy_loss": {"loss_mode": "decomposed"},
        },
        "rollout": {"calculate_log_probs": False},
    },
}


def test_one_update_needs_no_old_log_probs_and_a_second_one_does():
    config = OmegaConf.create(ONE_UPDATE)
    assert not needs_old_log_probs(config, mini_batches=1)
    assert needs_old_log_probs(config, mini_batches=2)


@pytest.mark.parametrize(
    "change",
    [
        {"actor_rollout_ref.actor.ppo_epochs": 2},
        {"algorithm.use_kl_in_reward": True},
        {"actor_rollout_ref.rollout.calculate_log_probs": True},
        {"actor_rollout_ref.actor.policy_loss.loss_mode": "vanilla"},
        {"actor_rollout_ref.actor.entropy_coeff": 0.0},  # nothing else would compute the entropy that is logged
    ],
)
def test_what_reads_old_log_probs_keeps_them(change):
    config = OmegaConf.create(ONE_UPDATE)
    for key, value in change.items():
        OmegaConf.update(config, key, value)
    assert needs_old_log_probs(config, mini_batches=1)


@pytest.mark.parametrize("mode", ["auto", "disable"])
def test_a_run_loads_the_newest_complete_checkpoint(monkeypatch, tmp_path, mode):
    """Upstream is told where; the configuration that is written down stays as it was."""
    seen = []
    monkeypatch.setattr(
        PPOTrainer, "_load_checkpoint", lambda self: seen.append(OmegaConf.to_container(self.config.trainer))
    )
    monkeypatch.setattr(
        "rlvr.training.trainer.where_to_resume", lambda run: Resume(run / "global_step_20", ["global_step_30: cut"])
    )
    one = DecomposedTrainer.__new__(DecomposedTrainer)
    settings = {"resume_mode": mode, "resume_from_path": None, "default_local_dir": str(tmp_path)}
    one.config = OmegaConf.create({"trainer": settings})
    (tmp_path / "global_step_20").mkdir()
    one._load_checkpoint()
    assert (flaw(tmp_path / "global_step_20", must_be_sealed=True) is None) == (mode == "auto"), (
        "what loads is complete"
    )
    (told,) = seen
    expected = {"resume_mode": "resume_path", "resume_from_path": str(tmp_path / "global_step_20")}
    assert told == settings | (expected if mode == "auto" else {})
    assert one.config.trainer == settings


def test_a_step_is_recorded_before_its_checkpoint_is_saved(monkeypatch):
    """A run that is killed right after the checkpoint goes on after that step, so nothing of it may be missing."""
    done, metrics = [], {"actor/loss": 0.5}
    one = trainer(kept=32)
    one.step_is_skipped, one.timing_raw, one.steps_per_epoch, one.parameter_sync_step = True, {"gen": 1.0}, 4, 1
    one.recovery = SimpleNamespace(metrics=dict)
    one.stop_file = SimpleNamespace(is_there=lambda: False)
    one.recorder = SimpleNamespace(finish=lambda step: done.append("read"), settle=lambda: done.append("written"))
    one.metrics_log = SimpleNamespace(before_checkpoint=lambda step, known: done.append((step, known)))
    monkeypatch.setattr(PPOTrainer, "step", lambda self, metrics, timing: "batch")
    monkeypatch.setattr(PPOTrainer, "_save_checkpoint", lambda self: done.append("saved"))
    assert one.step(metrics, one.timing_raw) == "batch"
    one._save_checkpoint()
    assert [done[0], done[1], done[3]] == ["read", "written", "saved"]
    step, known = done[2]
    assert step == 1 and known["actor/loss"] == 0.5 and known["timing_s/gen"] == 1.0 and known["timing_s/step"] >= 0
    assert metrics == {"actor/loss": 0.5}, "what the line itself gets is not touched"
