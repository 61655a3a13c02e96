"""The trainers: ``trainer.v1.trainer_mode=decomposed``, which our configurations choose, is upstream's synchronous one, and

- a step with nothing to learn from is skipped, counted and logged, and the run goes on;
- mini-batches are sized to what was kept (:mod:`rlvr.training.mini_batches`);
- a step with one update needs no old log-probs (:mod:`rlvr.training.old_log_probs`);
- training workers fetch only the tensors of a batch (:mod:`rlvr.training.fields`);
- log-probs, advantages and metrics are computed without padding (:mod:`rlvr.training.flat`);
- advantages that the sampler stored are spread over the tokens (:mod:`rlvr.training.advantage`);
- ``algorithm.positive_learning_weight`` weighs the loss of correct samples (:mod:`rlvr.training.learning_weight`);
- validation reports unbiased pass@k and the mean token entropy (:mod:`rlvr.training.validation`);
- rollout servers and workers that die are started anew (:mod:`rlvr.training.recovery`);
- a run resumes from the newest complete checkpoint (:mod:`rlvr.training.checkpoints`);
- a run that is asked to stop saves one and ends (:mod:`rlvr.training.stop_file`);
- the resolved configuration, ``metrics.jsonl`` and samples (:mod:`rlvr.training.recorder`) lie beside the checkpoints.

``decomposed_async`` (:mod:`rlvr.training.asynchronous`) is the same with some prompts more under way than a step takes.

Choosing one by name is also the proof that the plugin is loaded in the process that trains: without it verl stops with
"Unknown trainer 'decomposed'".
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.debug import marked_timer
from verl.utils.metric import reduce_metrics
from verl.utils.model import get_generation_config
from verl.utils.py_functional import rename_dict

from rlvr.heap import collect_seldom, freeze_heap, keep_freed_memory
from rlvr.methods.selection import ESTIMATOR
from rlvr.training import flat, simko
from rlvr.training.advantage import stored_advantages
from rlvr.training.asynchronous import StopsRollouts
from rlvr.training.checkpoints import COMPLETE, Resume, seal, where_to_resume
from rlvr.training.fields import send_tensors_only
from rlvr.training.learning_weight import weigh_correct_samples
from rlvr.training.metrics_log import MetricsLog
from rlvr.training.mini_batches import batch_multiple, mini_batches
from rlvr.training.old_log_probs import as_own_old_policy, needs_old_log_probs, put_old_log_probs
from rlvr.training.outcomes import Learned, NothingToLearnFrom
from rlvr.training.plugin_in_workers import prove_plugin_in_workers
from rlvr.training.progress import Progress
from rlvr.training.recorder import recorder_of
from rlvr.training.recovery import Recovery
from rlvr.training.recovery import applies as recovers
from rlvr.training.rollout_mode import ASYNC, is_batched
from rlvr.training.sampler import SKIP
from rlvr.training.samples import stop_tokens
from rlvr.training.starts import note_start
from rlvr.training.stop_file import StopFile, Stopped
from rlvr.training.validation import columns_for_upstream, grader_failures, texts_only_if_wanted, validation_metrics

# Below verl's logger: verl shields it from libraries that silence the root logger.
logger = logging.getLogger(f"verl.{__name__}")

NAME = "decomposed"


@register_trainer(NAME)
class DecomposedTrainer(PPOTrainerSync):
    """Synchronous PPO trainer for every method of :mod:`rlvr.methods`, for GRPO and for PPO."""

    total_training_steps: int  # upstream sets it

    def __init__(self, config: DictConfig):
        super().__init__(config)
        self.trainer_mode = "sync"  # upstream branches on this word; by behaviour this is the synchronous trainer
        self.skipped_steps = 0
        self.step_is_skipped = False
        self.training = False  # validation before the first step is a line of its own, step 0
        progress = Progress(self, OmegaConf.select(config, "trainer.watchdog.timeout_s"))
        self.recovery = Recovery(self, recovers(config), progress.followed)
        progress.publish_forever()

    def init(self) -> None:
        super().init()
        prove_plugin_in_workers(self.actor_rollout_wg)
        if self.processor is None:  # inputs of multi-modal models are no tensors
            for worker_group in self._worker_groups():
                send_tensors_only(worker_group)
        if simko.is_chosen(self.config):
            self.actor_rollout_wg.set_loss_fn(simko.loss_function(self.config))
        model = self.config.actor_rollout_ref.model.path
        self.replay_buffer.stop_tokens = stop_tokens(self.tokenizer, get_generation_config(model))
        folder = Path(self.config.trainer.default_local_dir)
        self.metrics_log = MetricsLog(folder / "metrics.jsonl", resumed_from=self.global_steps)
        self.skipped_steps = int(self.metrics_log.last("rlvr/skipped_steps") or 0)
        self.recorder = self.replay_buffer.recorder = recorder_of(
            folder, self.config.trainer, self.tokenizer, self.global_steps, self.total_training_steps
        )
        self.stop_file, self.stopped = StopFile(Path(self.config.trainer.stop_file)), False
        OmegaConf.save(self.config, folder / "config.yaml", resolve=True)
        note_start(folder, resumed_from=self.global_steps)
        # Where verl writes with trainer.logger=[tensorboard].
        os.environ.setdefault("TENSORBOARD_DIR", str(folder / "tensorboard"))
        freeze_heap()
        collect_seldom()
        keep_freed_memory()

    def _load_checkpoint(self) -> None:
        """As upstream's, from the newest complete checkpoint (:mod:`rlvr.training.checkpoints`)."""
        settings = self.config.trainer
        resume = Resume(None) if settings.resume_mode != "auto" else where_to_resume(Path(settings.default_local_dir))
        for line in resume.passed_over:
            logger.warning("a checkpoint is passed over: %s", line)
        if resume.folder is None:
            super()._load_checkpoint()
            return
        said = settings.resume_mode, settings.resume_from_path
        settings.resume_mode, settings.resume_from_path = "resume_path", str(resume.folder)
        super()._load_checkpoint()
        settings.resume_mode, settings.resume_from_path = said
        if not (resume.folder / COMPLETE).is_file():  # the run was killed before it could
            seal(resume.folder)

    def _worker_groups(self) -> list[Any]:
        groups = [self.actor_rollout_wg]
        if self.use_reference_policy and self.ref_policy_wg is not self.actor_rollout_wg:
            groups.append(self.ref_policy_wg)
        return [*groups, self.critic_wg] if self.use_critic else groups

    # ---- a step, in its order

    def on_init_end(self) -> None:
        super().on_init_end()
        self.recovery.after_sync(self.global_steps)
        self.replay_buffer.after_look = self.recovery.look

    def on_step_begin(self) -> None:
        super().on_step_begin()
        self.recovery.next_step()

    def on_sample_end(self) -> None:
        self.recovery.put_to_sleep(self._sleep)

    def _sleep(self) -> None:
        self._stop_rollouts()
        super().on_sample_end()

    def _stop_rollouts(self) -> None:
        """None is under way."""

    def on_step_end(self) -> None:
        self.recovery.before_sync()
        super().on_step_end()
        self.recovery.after_sync(self.global_steps)

    def _step_once(self, metrics: dict, timing_raw: dict, sample_batch_size: int) -> KVBatchMeta:
        try:
            return super()._step_once(metrics, timing_raw, sample_batch_size)
        except NothingToLearnFrom as skipped:
            self.skipped_steps += 1
            logger.warning("step %d: no sample to learn from, the update is skipped", self.global_steps)
            self.recorder.read()
            return skipped.batch
        finally:
            metrics["rlvr/skipped_steps"] = self.skipped_steps

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict, *args: Any, **kwargs: Any) -> KVBatchMeta:
        self.step_is_skipped = bool(batch.extra_info.get(SKIP))
        if self.step_is_skipped:
            raise NothingToLearnFrom(batch)
        self.mini_batches = mini_batches(len(batch), self._mini_batch_samples())
        return super()._balance_batch(batch, metrics, *args, **kwargs)

    def _mini_batch_samples(self) -> int:
        """Samples in a full mini-batch: ``ppo_mini_batch_size`` counts questions."""
        return self.config.actor_rollout_ref.actor.ppo_mini_batch_size * self.config.actor_rollout_ref.rollout.n

    def _get_required_batch_multiple(self, dp_size: int) -> int:
        if self.use_critic:
            return super()._get_required_batch_multiple(dp_size)
        return batch_multiple(self.mini_batches, dp_size)

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        self.seen = flat.Seen(batch, is_batched(self.config))
        is_flat = flat.applies(self.config)
        if not needs_old_log_probs(self.config, self.mini_batches):
            marks = as_own_old_policy(self.seen.get(batch, ["response_mask"])["response_mask"])
            if not is_flat:
                return put_old_log_probs(batch, marks)
            self.seen.unstored["old_log_probs"] = marks
            return batch
        if not is_flat:
            return super()._compute_old_log_prob(batch, metrics)
        rollout = self.config.actor_rollout_ref.rollout
        batch.extra_info.update(calculate_entropy=True, compute_loss=False, temperature=rollout.temperature)
        self.actor_rollout_wg.compute_log_prob(batch)
        flat.take_old_log_probs(
            batch, self.seen, metrics, rollout.calculate_log_probs, with_entropy=self.recorder.takes_the_step
        )
        return batch

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        if flat.applies(self.config):
            batch = flat.store_advantages(batch, self.seen, self.config)
        elif self.config.algorithm.adv_estimator == ESTIMATOR:
            with stored_advantages(batch):
                batch = super()._compute_advantage(batch, metrics)
        else:
            batch = super()._compute_advantage(batch, metrics)
        weight = self.config.algorithm.positive_learning_weight
        if self.config.algorithm.adv_estimator != ESTIMATOR and weight is not None:
            batch = weigh_correct_samples(batch, float(weight))
        self.recorder.read()  # while the workers update
        return batch

    def _update_actor(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        actor = self.config.actor_rollout_ref.actor
        mini_batch_size = self._mini_batch_samples() if self.use_critic else len(batch) // self.mini_batches
        batch.extra_info.update(
            calculate_entropy=actor.calculate_entropy or actor.entropy_coeff != 0.0,
            global_batch_size=mini_batch_size,
            mini_batch_size=mini_batch_size,
            epochs=actor.ppo_epochs,
            seed=actor.data_loader_seed,
            dataloader_kwargs={"shuffle": actor.shuffle},
            temperature=self.config.actor_rollout_ref.rollout.temperature,
        )
        if simko.is_chosen(self.config):
            batch.extra_info.update(simko.NEEDS_LOGITS)
        output = rename_dict(self.actor_rollout_wg.update_actor(batch)["metrics"], "actor/")
        output["perf/mfu/actor"] = output.pop("actor/mfu")
        metrics.update(reduce_metrics(output))
        metrics["rlvr/optimizer_steps"] = self.mini_batches * actor.ppo_epochs
        # Upstream takes the entropy from the pass for old log-probs; with one update it is the same number.
        if "actor/entropy_loss" in metrics:
            metrics.setdefault("actor/entropy", metrics["actor/entropy_loss"])
        return batch

    def step(self, metrics: dict, timing_raw: dict) -> KVBatchMeta:
        began = time.monotonic()
        batch = super().step(metrics, timing_raw)
        self.learned = Learned(batch, metrics, time.monotonic() - began)
        if self.stop_file.is_there() and self.global_steps < self.total_training_steps:
            self._make_this_the_last_step()
        return batch

    def _make_this_the_last_step(self) -> None:
        """Upstream's loop ends after it; it has decided before whether the step is saved."""
        every = self.config.trainer.save_freq
        if every <= 0 or self.global_steps % every:
            with marked_timer("save_checkpoint", self.timing_raw):
                self._save_checkpoint()
        self.stopped, self.total_training_steps = True, self.global_steps

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """As upstream's.

        Raises:
            Stopped: after a step that was made the last one; everything of it is on the disk.
        """
        super().fit(*args, **kwargs)
        if self.stopped:
            raise Stopped(f"asked to stop by {self.stop_file.path} after step {self.total_training_steps}")

    def _save_checkpoint(self) -> None:
        """A run that goes on after the step has its samples and metrics, whenever it was killed: verl records them later."""
        learned = self.learned
        metrics, timing = dict(learned.metrics), self.timing_raw | {"step": learned.seconds}
        self._add_metrics(
            learned.batch, metrics, timing, self.global_steps, (self.global_steps - 1) // self.steps_per_epoch
        )
        self.recorder.finish(self.global_steps)
        self.recorder.settle()
        self.metrics_log.before_checkpoint(self.global_steps, metrics)
        super()._save_checkpoint()

    def _add_metrics(self, batch: KVBatchMeta, metrics: dict, timing_raw: dict, global_steps: int, epoch: int) -> None:
        metrics.update({"training/global_step": global_steps, "training/epoch": epoch} | self.recovery.metrics())
        if not self.step_is_skipped and flat.applies(self.config):
            metrics.update(flat.step_metrics(batch, self.seen, timing_raw, self._get_n_gpus_for_throughput()))
            metrics.update(flat.staleness(batch.tags, global_steps))
        elif not self.step_is_skipped:
            super()._compute_metrics(batch, metrics, timing_raw, global_steps, epoch)
        else:  # there are no advantages or log-probs to report on
            metrics.update({f"timing_s/{phase}": seconds for phase, seconds in timing_raw.items()})

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict, timing_raw: dict, global_steps: int, epoch: int
    ) -> None:
        self._add_metrics(batch, metrics, timing_raw, global_steps, epoch)
        with marked_timer("samples", timing_raw):
            self.recorder.finish(global_steps)  # before upstream clears the step's rows
        metrics |= {"timing_s/samples": timing_raw["samples"], "rlvr/sample_files_lost": self.recorder.lost}
        self.metrics_log.append(global_steps, metrics)

    def _log_rollout_data(self, batch: KVBatchMeta, timing_raw: dict, rollout_data_dir: str) -> None:
        """As upstream's, without the rows that fill up the last mini-batch: they are no answers of the model."""
        samples = [key for key, tag in zip(batch.keys, batch.tags) if not tag.get("is_padding", False)]
        super()._log_rollout_data(batch.select_keys(samples), timing_raw, rollout_data_dir)

    # ---- validation

    def _validate(self) -> dict[str, float]:
        with texts_only_if_wanted(self):
            return super()._validate()

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list],
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, float]:
        columns = reward_extra_infos_dict
        metrics = super()._val_metrics_update(data_sources, sample_uids, columns_for_upstream(columns), *args, **kwargs)
        metrics |= validation_metrics(data_sources, sample_uids, columns["reward"])
        metrics |= grader_failures(data_sources, columns)
        self.recorder.finish_validation(self.global_steps)
        entropy = self.replay_buffer.take_validation_entropy()
        if entropy is not None:
            metrics["val-core/entropy"] = entropy
        if not self.training and self.global_steps == 0:
            self.metrics_log.append(self.global_steps, metrics)
        elif not self.training:
            self.metrics_log.complete(metrics)
        return metrics

    def _shutdown_dump_executor(self) -> None:
        """Upstream's end of a run: what it writes beside the training is waited for."""
        super()._shutdown_dump_executor()
        self.recorder.close()

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self.training = True


@register_trainer(ASYNC)
class DecomposedAsyncTrainer(StopsRollouts, DecomposedTrainer):
    """The same where rollouts are stopped for a weight sync, and go on after it."""
