"""A trainer that makes step after step from the same weights, each with other settings, and writes down what it saw and did.

One start of the engine serves many updates. Loaded by verl in every process (``VERL_USE_EXTERNAL_MODULES``); driven by
:mod:`tests.integration.test_formulas` through ``cases.json`` in the folder ``$UPDATE_LAB``. A case is ``{name, settings, steps,
noise, micro_batch, learning_rate}``: ``noise`` moves the weights away from the reference model first, ``micro_batch`` is in tokens.
"""

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import wrapt


def compute_score(data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None) -> dict[str, Any]:
    """A reward that a model which knows little gets every other time, and every kind of incorrect sample."""
    right = len(solution_str) % 2
    kinds = ("wrong", "no_answer", "unreadable", "grader_failed")
    return {"score": float(right), "acc": float(right), "kind": "right" if right else kinds[len(solution_str) // 2 % 4]}


def moved(parameter: torch.Tensor, noise: float) -> torch.Tensor:
    """Another tensor near ``parameter``: elementwise, so that shards move as the whole does."""
    return parameter + noise * torch.sin(1e4 * parameter)


def engine_of(worker: Any) -> Any:
    (role,) = worker.worker_dict.values()
    return role.actor.engine


def set_weights(worker: Any, noise: float, learning_rate: float) -> None:
    """Runs in a training worker: its weights as at the start, then moved; ``learning_rate`` is of the next step alone."""
    for group in engine_of(worker).optimizer.param_groups:
        group["lr"] = learning_rate
    shards = {name: parameter.data.to_local() for name, parameter in engine_of(worker).module.named_parameters()}
    if not hasattr(worker, "lab_weights"):
        worker.lab_weights = {name: shard.clone() for name, shard in shards.items()}
    for name, shard in shards.items():
        shard.copy_(moved(worker.lab_weights[name], noise))


def get_weights(worker: Any) -> dict[str, torch.Tensor]:
    """Runs in all training workers at once."""
    return {
        name: parameter.data.full_tensor().clone() for name, parameter in engine_of(worker).module.named_parameters()
    }


@wrapt.when_imported("rlvr.training.trainer")
def register(module: ModuleType) -> None:
    import ray
    import transfer_queue as tq
    from omegaconf import OmegaConf, open_dict
    from safetensors.torch import save_file
    from verl.trainer.ppo.utils import need_reference_policy
    from verl.trainer.ppo.v1.trainer_base import register_trainer
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.skip import SkipManager
    from verl.workers.utils.losses import ppo_loss

    from rlvr.methods.config import method_of
    from rlvr.training import sampler, simko

    @register_trainer("update_lab")
    class UpdateLab(module.DecomposedTrainer):
        def fit(self, agent_loop_manager: Any) -> None:
            from functools import partial

            SkipManager.init(self.config)
            self.prev_step_profile = self.curr_step_profile = self.next_step_profile = False
            self.agent_loop_manager = agent_loop_manager
            self.folder = Path(os.environ["UPDATE_LAB"])
            self.default = self.config.copy()
            self.sampled: list[dict[str, Any]] = []
            read = sampler.read_samples
            sampler.read_samples = lambda batch, *settings, **more: self.note(batch, read(batch, *settings, **more))
            self.partial = partial
            for case in json.loads((self.folder / "cases.json").read_text()):
                self.run(case)

        def note(self, batch: Any, samples: Any) -> Any:
            data = tq.kv_batch_get(
                keys=batch.keys, partition_id=batch.partition_id, select_fields=["prompts", "responses"]
            )
            rows = zip(
                samples.question_ids,
                samples.rewards,
                samples.kinds,
                *(data[f].unbind() for f in ("prompts", "responses")),
            )
            names = ("question", "reward", "kind", "prompts", "responses")
            self.sampled += [
                {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in zip(names, row)}
                for row in rows
            ]
            return samples

        def on_all(self, function: Any, *arguments: Any) -> list[Any]:
            return ray.get([w.__ray_call__.remote(function, *arguments) for w in self.actor_rollout_wg.workers])

        def run(self, case: dict[str, Any]) -> None:
            self.config = self.default.copy()
            with open_dict(self.config):
                for key, value in case.get("settings", {}).items():
                    OmegaConf.update(self.config, key, value, force_add=True)
                kwargs = self.config.trainer.v1.sampler.sampler_kwargs
                kwargs.update({key: self.config.algorithm[key] for key in kwargs if key in self.config.algorithm})
            self.replay_buffer.sampler_kwargs = kwargs
            self.replay_buffer.method = method_of(kwargs)
            self.use_reference_policy = need_reference_policy(self.config)
            actor = omega_conf_to_dataclass(self.config.actor_rollout_ref.actor)
            loss = self.partial(ppo_loss, config=actor)
            self.actor_rollout_wg.set_loss_fn(
                simko.loss_function(self.config) if simko.is_chosen(self.config) else loss
            )
            self.micro_batch, self.sampled = case.get("micro_batch"), []
            learning_rate = case.get("learning_rate", 1.0)
            self.on_all(set_weights, case.get("noise", 0.0), learning_rate)
            before, metrics = self.on_all(get_weights)[0], {}
            for step in range(1, case.get("steps", 1) + 1):
                self.global_steps = step
                batch = self.step(metrics, {})
                tq.kv_clear(keys=batch.keys, partition_id=batch.partition_id)
            after = self.on_all(get_weights)[0]
            save_file(
                {name: (before[name] - after[name]) / learning_rate for name in before},
                self.folder / f"{case['name']}.safetensors",
            )
            numbers = {key: float(value) for key, value in metrics.items() if hasattr(value, "__float__")}
            record = {"samples": self.sampled, "metrics": numbers}
            (self.folder / f"{case['name']}.json").write_text(json.dumps(record))
            self.on_all(set_weights, 0.0, 1.0)
            self.checkpoint_manager.update_weights(self.global_steps)

        def _update_actor(self, batch: Any, metrics: dict) -> Any:
            if self.micro_batch is not None:
                batch.extra_info["max_token_len_per_gpu"] = self.micro_batch
            return super()._update_actor(batch, metrics)
