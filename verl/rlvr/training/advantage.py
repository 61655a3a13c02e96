"""``algorithm.adv_estimator=psr_nsr``: the advantage estimator that verl calls.

Deliberately left out: which samples are dropped. That happens earlier, in :mod:`rlvr.training.sampler`, so that dropped
samples cost no log-probs and no update; here a sample the mode does not learn from (selection ``mask``) simply has advantage zero.
"""

from collections.abc import Mapping
from typing import Any

import torch

from rlvr.methods import MODES
from rlvr.methods.scores import is_correct


def compute_psr_nsr_advantage(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    config: Mapping[str, Any],
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Spread each sample's advantage over its response tokens.

    Args:
        token_level_rewards: (samples, response_length) float; each row sums to the sample's reward, 0 or 1.
        response_mask: (samples, response_length); 1 on response tokens.
        config: the ``algorithm`` section; ``advantage`` names the mode, ``positive_advantage_weight`` is λ.

    Returns:
        ``(advantages, returns)``, both (samples, response_length) float32. Returns are rewards to go (γ = 1).

    Raises:
        ValueError: if a row's reward is neither 0 nor 1.
        KeyError: if the mode is unknown.
    """
    with torch.no_grad():
        mask = response_mask.float()
        correct = is_correct(token_level_rewards.sum(dim=-1))
        sample_advantage = MODES[config["advantage"]].advantage(correct, float(config["positive_advantage_weight"]))
        advantages = sample_advantage.to(mask.device).unsqueeze(-1) * mask
        returns = token_level_rewards.float().flip(-1).cumsum(-1).flip(-1) * mask
    return advantages, returns
