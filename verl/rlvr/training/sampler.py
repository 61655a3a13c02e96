"""verl's replay buffer with sample selection (``trainer.v1.sampler.custom_sampler``).

``sample()`` runs before old log-probs, reference, critic and actor work, and it alone sees the whole batch. So the advantage of
every sample is computed here, once, and written into its tags; what the method does not learn from leaves the step and costs
nothing more. It also polls often: upstream's 2 s are longer than a whole step of a small model.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from rlvr.incorrect import may_be_learned_from
from rlvr.methods.config import method_of
from rlvr.methods.selection import Selection, select, without_variance
from rlvr.sample_files import TRAIN
from rlvr.training.advantage import store
from rlvr.training.metrics import lengths, sample_metrics
from rlvr.training.recorder import Recorder
from rlvr.training.sample_lines import Decided
from rlvr.training.samples import Samples, grader_failures, read_samples

# Below verl's logger: verl shields it from libraries that silence the root logger.
logger = logging.getLogger(f"verl.{__name__}")

POLL_INTERVAL_SECONDS = 0.02
LONGEST_POLL_INTERVAL_SECONDS = 2.0  # upstream's
SHARE_OF_POLLING = 0.1  # a look lists every sample; TransferQueue's one controller serves nobody else meanwhile
SKIP = "nothing_to_learn_from"
# Questions that failed and are replaced in a step: a share of it, but as many as one request of the rollout workers holds at least.
MOST_REFILLED, REQUEST = 1 / 16, 64


class SelectingReplayBuffer(ReplayBuffer):
    """Keeps the samples that the method learns from and counts what it saw.

    ``sampler_kwargs`` are set by configs/rlvr.yaml from the ``algorithm`` section. The trainer, which has the tokenizer, sets
    ``stop_tokens``, without which every response of full length counts as cut, ``recorder``, which keeps samples as files, and
    ``after_look``, which is called after each look into TransferQueue.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        settings = kwargs["sampler_kwargs"]
        refill_failed = (
            {"sync_refill_failed_groups": True, "gen_batch_size": 1} if settings.refill_failed_groups else {}
        )
        super().__init__(*args, **{"poll_interval": POLL_INTERVAL_SECONDS} | refill_failed | kwargs)
        self.method = method_of(settings)
        self.stop_tokens: frozenset[int] = frozenset()
        self.recorder: Recorder | None = None
        self.after_look: Callable[[], None] = lambda: None
        self.validation_log_probs: list[torch.Tensor] = []
        self.refilled, self.most_refilled = 0, 0

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[KVBatchMeta, dict]:
        """As upstream's; on the training partition the batch holds only kept samples, their advantages in their tags.

        Where there is nothing to learn from, it holds all of them and ``extra_info[SKIP]`` is set: the trainer skips the step.

        Raises:
            ValueError: if a reward is neither 0 nor 1; names the data source.
        """
        if partition_id == "val":
            batch, metrics = super().sample(global_steps=global_steps, partition_id=partition_id, batch_size=batch_size)
            self.validation_log_probs.append(read_log_probs(batch))
            if self.recorder is not None:
                self.recorder.take_validation(global_steps, batch, lambda part: self._read(part, verifiable=False))
            return batch, metrics

        samples, left_out, metrics = self._sample_questions(global_steps, partition_id, batch_size)
        selection = self._select(samples, global_steps)
        skip = not selection.effective.any()
        kept = torch.zeros_like(selection.kept) if skip else selection.kept
        metrics.update(measure(samples, kept, selection, left_out))
        everything = samples + left_out
        # A step without a gradient stays whole, because upstream cannot clear an empty batch.
        dropped = [] if skip else (samples.where(~kept) + left_out).keys
        recorded = self._record(global_steps, partition_id, everything, kept, selection.advantages, dropped)
        if skip:
            return KVBatchMeta(everything.keys, everything.tags, partition_id, extra_info={SKIP: True}), metrics
        if dropped and not recorded:
            tq.kv_clear(keys=dropped, partition_id=partition_id)
        stays = samples.where(kept)
        advantages = None if selection.advantages is None else selection.advantages[kept]
        return store(KVBatchMeta(stays.keys, stays.tags, partition_id), stays.correct, advantages), metrics

    def _record(
        self,
        step: int,
        partition_id: str,
        everything: Samples,
        kept: torch.Tensor,
        advantages: torch.Tensor | None,
        dropped: list[str],
    ) -> bool:
        """Whether the recorder takes the step, and clears the dropped rows when it has read them.

        ``kept`` and ``advantages`` are of the samples of the step, with which ``everything`` begins.
        """
        if self.recorder is None:
            return False
        left_out = len(everything.keys) - len(kept)
        values: list[float | None] = [None] * len(kept) if advantages is None else advantages.tolist()
        return self.recorder.take(
            Decided(
                step,
                TRAIN,
                partition_id,
                everything,
                kept.tolist() + [False] * left_out,
                values + [None] * left_out,
                dropped,
            )
        )

    def _read(self, batch: KVBatchMeta, *, verifiable: bool = True) -> Samples:
        return read_samples(batch, self.sampler_kwargs.max_response_length, self.stop_tokens, verifiable=verifiable)

    def _sync_metadata_from_transfer_queue(self) -> None:
        """As upstream's; the next look waits so long that looking takes no more than its share of the time."""
        started = time.monotonic()
        self.refresh()
        self.poll_interval = poll_interval(time.monotonic() - started)
        self.after_look()

    def refresh(self) -> None:
        """Look into TransferQueue, and do nothing else."""
        super()._sync_metadata_from_transfer_queue()

    def _terminal_eviction_reasons(self, global_steps: int, partition_id: str) -> Any:
        """As upstream's, which samples another question in place of each that failed, for as long as questions fail.

        Raises:
            RuntimeError: once more failed in a step than :data:`MOST_REFILLED`.
        """
        reasons = super()._terminal_eviction_reasons(global_steps, partition_id)
        failed = len(reasons[2])
        self.refilled += failed
        if self.refilled > self.most_refilled:
            raise RuntimeError(
                f"step {global_steps}: the rollouts of {self.refilled} questions failed, more than {self.most_refilled}, "
                "which are sampled again (trainer.v1.sampler.sync_refill_failed_groups): the rollout workers' log says why"
            )
        if failed:
            logger.warning("step %d: the rollouts of %d questions failed, others are asked", global_steps, failed)
        return reasons

    def _select(self, samples: Samples, step: int) -> Selection:
        settings = self.sampler_kwargs
        return select(
            samples.batch(step),
            self._learnable(samples),
            self.method,
            settings.sample_selection,
            zero_variance=settings.zero_variance,
        )

    def _learnable(self, samples: Samples) -> torch.Tensor:
        """(samples,) bool: what ``algorithm.learn_from_incorrect`` names, and what is correct."""
        return torch.tensor(
            may_be_learned_from(samples.kinds, self.sampler_kwargs.learn_from_incorrect), dtype=torch.bool
        )

    def _sample_questions(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[Samples, Samples, dict]:
        """(samples of the step, samples that are left out of it, metrics).

        With ``algorithm.filter_groups.enable`` (DAPO's dynamic sampling, https://arxiv.org/abs/2503.14476) questions of whose
        samples all or none are right are left out, and others are asked instead, until ``batch_size`` questions are there or
        ``max_num_gen_batches`` × ``batch_size`` were asked; then the step goes on with what it has.
        """
        settings, metrics = self.sampler_kwargs, {}
        self.refilled, self.most_refilled = 0, max(REQUEST, int(batch_size * MOST_REFILLED))

        def ask(questions: int) -> Samples:
            batch, said = super(SelectingReplayBuffer, self).sample(
                global_steps=global_steps, partition_id=partition_id, batch_size=questions
            )
            metrics.update(said)
            return self._read(batch)

        samples = ask(batch_size)
        metrics["rlvr/failed_questions"] = batch_size - questions_of(samples)
        if metrics["rlvr/failed_questions"]:
            logger.warning(
                "step %d: the rollouts of %d of %d questions failed, the step goes on without them "
                "(trainer.v1.sampler.sync_refill_failed_groups=true asks others)",
                global_steps, metrics["rlvr/failed_questions"], batch_size,
            )  # fmt: skip
        if not settings.filter_groups.enable:
            return samples, samples.where(torch.zeros(len(samples.keys))), metrics

        asked, limit = batch_size, batch_size * settings.filter_groups.max_num_gen_batches
        while (missing := batch_size - questions_of(samples.where(self._has_signal(samples)))) > 0 and asked < limit:
            share = (batch_size - missing) / asked
            more = min(math.ceil(missing / share) if share else batch_size, batch_size, limit - asked)
            self.refill_fn(more)
            asked += more
            samples += ask(more)
        signal = self._has_signal(samples)
        if missing > 0:
            logger.warning(
                "step %d: of %d questions asked only %d, not %d, have right and wrong answers",
                global_steps, asked, batch_size - missing, batch_size,
            )  # fmt: skip
        in_step = signal & within(samples, signal, batch_size)
        metrics |= {
            "rlvr/refilled_questions": asked - batch_size,
            "rlvr/questions_without_signal": questions_of(samples.where(~signal)),
            "rlvr/surplus_questions": max(-missing, 0),
            "rlvr/missing_questions": max(missing, 0),
        }
        return samples.where(in_step), samples.where(~in_step), metrics

    def _has_signal(self, samples: Samples) -> torch.Tensor:
        """(samples,) bool: some samples of its question are right and some are wrong, of those that may be learned from."""
        learnable = self._learnable(samples)
        counted = samples.where(learnable)
        mixed = ~without_variance(counted.batch(step=1))
        questions = {one for one, has in zip(counted.question_ids, mixed.tolist()) if has}
        return torch.tensor([one in questions for one in samples.question_ids], dtype=torch.bool)

    def take_validation_entropy(self) -> float | None:
        """Mean token entropy of the validation samples since the last call; None if the rollouts have no log-probs.

        Estimated by −log p of the sampled tokens, which needs no forward pass; p is what was sampled from, so temperature and
        top-p of validation count.
        """
        tokens = torch.cat(self.validation_log_probs) if self.validation_log_probs else torch.empty(0)
        self.validation_log_probs = []
        return -tokens.mean().item() if tokens.numel() else None


class SelectingReplayBufferAsync(SelectingReplayBuffer, ReplayBufferAsync):
    """The same over upstream's asynchronous replay buffer, which takes the oldest complete questions while others are under way."""


def poll_interval(look_s: float) -> float:
    """Seconds to wait after a look into TransferQueue that took ``look_s``."""
    wait = look_s * (1 / SHARE_OF_POLLING - 1)
    return min(max(POLL_INTERVAL_SECONDS, wait), LONGEST_POLL_INTERVAL_SECONDS)


def measure(samples: Samples, kept: torch.Tensor, selection: Selection, left_out: Samples) -> dict[str, float]:
    """Metrics of a step, over all samples that were generated: kept ones are of another length, and of other accuracy."""
    nothing = torch.zeros(len(left_out.keys), dtype=torch.bool)
    pushed = pushes(selection.advantages, kept)
    kept, effective = torch.cat([kept, nothing]), torch.cat([selection.effective, nothing])
    samples = samples + left_out
    metrics = sample_metrics(samples.question_ids, samples.correct, kept.tolist(), effective.tolist(), samples.kinds)
    metrics["rlvr/retried_samples"] = sum(tag.get("attempt", 1) > 1 for tag in samples.tags)
    metrics |= lengths([tag["response_len"] for tag in samples.tags], samples.correct)
    return metrics | pushed | grader_failures(samples.said)


def pushes(advantages: torch.Tensor | None, kept: torch.Tensor) -> dict[str, float]:
    """How many kept samples have an advantage above and below 0; nothing where upstream's estimators compute it later."""
    if advantages is None:
        return {}
    up, down = ((advantages > 0) & kept).sum().item(), ((advantages < 0) & kept).sum().item()
    return {"rlvr/pushed_up_count": up, "rlvr/pushed_down_count": down}


def questions_of(samples: Samples) -> int:
    return len(set(samples.question_ids))


def within(samples: Samples, among: torch.Tensor, questions: int) -> torch.Tensor:
    """(samples,) bool: of one of the first ``questions`` questions of those in ``among``."""
    first = set(list(dict.fromkeys(samples.where(among).question_ids))[:questions])
    return torch.tensor([one in first for one in samples.question_ids], dtype=torch.bool)


def read_log_probs(batch: KVBatchMeta) -> torch.Tensor:
    """(tokens,) log-probs of all response tokens; empty where rollouts do not compute them."""
    fields = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["rollout_log_probs"])
    rows = fields["rollout_log_probs"].unbind() if "rollout_log_probs" in fields.keys() else []  # noqa: SIM118
    return torch.cat([row.flatten() for row in rows]) if rows else torch.empty(0)
