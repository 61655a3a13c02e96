"""What ``trainer.v1.trainer_mode=decomposed_async`` does otherwise: some prompts more are under way than a step takes."""

from omegaconf import DictConfig
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.workers.rollout.llm_server import FullyAsyncLLMServerClient, LLMServerClient

from rlvr.training.rollout_mode import ASYNC
from rlvr.training.sampler import SelectingReplayBufferAsync


class StopsRollouts(PPOTrainerSync):
    """To be mixed into our trainer: upstream's ``colocate_async``.

    Rollouts that are not complete when a step has its questions are stopped, and go on with the new weights from the tokens that
    they have. So the tokens of a sample may be of several versions, and the policy that drew them is known by the sampler's
    log-probs alone (``algorithm.rollout_correction.bypass_mode``).
    """

    def __init__(self, config: DictConfig):
        super().__init__(config)
        self.trainer_mode = "colocate_async"

    def _build_replay_buffer(self) -> SelectingReplayBufferAsync:
        self.config.trainer.v1.sampler.custom_sampler.name = SelectingReplayBufferAsync.__name__
        return super()._build_replay_buffer()

    def get_llm_client(self) -> LLMServerClient:
        return self.llm_server_manager.get_client(client_cls=FullyAsyncLLMServerClient)

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self._add_async_warmup_batches(self.config.trainer.v1[ASYNC].num_warmup_batches)

    def _stop_rollouts(self) -> None:
        self.checkpoint_manager.abort_replicas()

    def on_step_end(self) -> None:
        super().on_step_end()
        self.checkpoint_manager.resume_generation_replicas()
