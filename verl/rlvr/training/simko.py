"""SimKO in verl's engine: what its loss must know of the logits.

verl's engine hands the logits of a micro-batch to the worker's loss function when a batch says ``distillation_use_topk``, its hook
for teachers; what comes back stands beside the log-probs when the same function is called for the loss.
"""

from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import no_padding_2_padding

from rlvr.methods.losses.simko import SimKO, TopK, top_k_known

NEEDS_LOGITS = {"distillation_use_topk": True}  # for a batch's extra_info


def is_chosen(config: DictConfig) -> bool:
    return config.actor_rollout_ref.actor.policy_loss.loss_mode == "simko"


def loss_function(config: DictConfig) -> Any:
    """For ``set_loss_fn`` of the actor's workers."""
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    return partial(simko_loss, config=actor, settings=SimKO(**config.algorithm.simko))


def simko_loss(
    config: Any,
    settings: SimKO,
    data: Any,
    model_output: Any = None,
    student_logits: torch.Tensor | None = None,
    dp_group: Any = None,
) -> Any:
    """With ``student_logits`` (1, tokens, vocabulary): what they say of each token, (1, tokens). Else the loss, as ``ppo_loss``."""
    if student_logits is not None:
        top = student_logits.topk(settings.k, dim=-1).values
        total = student_logits.logsumexp(-1)
        return {
            "top_sum_log_probs": top.sum(-1) - settings.k * total,
            "top_max_log_prob": (top[..., 0] - total).detach(),
        }
    names = ("top_sum_log_probs", "top_max_log_prob", "entropy")
    with top_k_known(TopK(settings, *(no_padding_2_padding(model_output[name], data) for name in names))):
        return ppo_loss(config=config, model_output=model_output, data=data, dp_group=dp_group)
