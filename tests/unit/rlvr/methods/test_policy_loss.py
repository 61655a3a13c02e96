"""The policy loss: against the paper's own functions (golden), and what the clip fractions count."""

from types import SimpleNamespace

import pytest
import torch
from verl.trainer.ppo.core_algos import compute_gae_advantage_return, compute_grpo_outcome_advantage

from rlvr.methods.losses.decomposed import IS_OWN_OLD_POLICY, clip_fractions, compute_policy_loss_decomposed

TOLERANCE = {"rtol": 0, "atol": 1e-6}


class Config(SimpleNamespace):
    """The part of verl's ActorConfig that the loss reads."""

    def get(self, name, default=None):
        return getattr(self, name, default)


def config(mask: torch.Tensor) -> Config:
    batch_info = {
        "dp_size": 1,
        "batch_num_tokens": mask.sum(),
        "global_batch_size": len(mask),
        "loss_scale_factor": None,
    }
    return Config(
        clip_ratio=0.2, clip_ratio_low=None, clip_ratio_high=None, clip_ratio_c=1e9, global_batch_info=batch_info
    )


def loss_of(case, advantages, rows=slice(None), weights=None):
    old, new, mask = (torch.tensor(case[key])[rows] for key in ("old_log_prob", "log_prob", "response_mask"))
    return compute_policy_loss_decomposed(
        old, new, advantages[rows], mask, "token-mean", config(mask), rollout_is_weights=weights
    )


@pytest.mark.parametrize("mode", ["positive", "negative", "weighted"])
def test_matches_the_papers_code_over_kept_samples(golden, mode):
    for case in golden("advantages.json"):
        expected = case["expected"][mode]
        kept = torch.tensor(expected["kept"])
        loss, metrics = loss_of(case, torch.tensor(expected["advantages"]), kept)
        torch.testing.assert_close(loss, torch.tensor(expected["policy_loss_over_kept"]), **TOLERANCE)
        assert metrics["actor/pg_clipfrac"] == pytest.approx(expected["clipfrac_over_kept"], abs=1e-6)


def test_positive_learning_weight_matches_the_papers_code(golden):
    for case in golden("advantages.json"):
        expected = case["expected"]["grpo"]
        advantages = torch.tensor(expected["advantages"])
        scores = torch.tensor(case["token_level_scores"])
        weights = torch.where(scores.sum(-1, keepdim=True) == 1, 0.1, 1.0).expand_as(scores)
        torch.testing.assert_close(loss_of(case, advantages)[0], torch.tensor(expected["policy_loss"]), **TOLERANCE)
        torch.testing.assert_close(
            loss_of(case, advantages, weights=weights)[0],
            torch.tensor(expected["policy_loss_positive_learning_weight_0.1"]),
            **TOLERANCE,
        )


def test_a_policy_that_is_its_own_old_one_has_the_gradient_of_ratio_one(golden):
    case = golden("advantages.json")[0]
    mask = torch.tensor(case["response_mask"])
    advantages = torch.tensor(case["expected"]["weighted"]["advantages"])
    gradients = []
    for mark in (False, True):
        new = torch.tensor(case["log_prob"], requires_grad=True)
        old = torch.full_like(new, IS_OWN_OLD_POLICY) if mark else new.detach().clone()
        loss, metrics = compute_policy_loss_decomposed(old, new, advantages, mask, "token-mean", config(mask))
        loss.backward()
        gradients.append(new.grad)
        assert metrics["actor/ppo_kl"] == 0 and metrics["actor/pg_clipfrac"] == 0
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)


def test_the_baselines_advantages_are_the_papers_too(golden):
    """Upstream's GRPO and GAE, which we use as they are, agree with the paper's code."""
    for case in golden("advantages.json"):
        scores, mask, values = (torch.tensor(case[k]) for k in ("token_level_scores", "response_mask", "values"))
        grpo, _ = compute_grpo_outcome_advantage(scores, mask, index=case["uid"])
        torch.testing.assert_close(grpo, torch.tensor(case["expected"]["grpo"]["advantages"]), rtol=0, atol=1e-5)
        gae, returns = compute_gae_advantage_return(scores, values, mask, gamma=1.0, lam=1.0)
        expected = case["expected"]["gae"]
        on = mask.bool()
        torch.testing.assert_close(gae[on], torch.tensor(expected["advantages"])[on], rtol=0, atol=1e-5)
        torch.testing.assert_close(returns[on], torch.tensor(expected["returns"])[on], rtol=0, atol=1e-5)


def test_clip_fractions_count_each_sign_on_its_own():
    ratio = torch.tensor([[1.5, 0.5, 1.0, 9.0], [1.5, 0.5, 0.7, 9.0]])
    advantages = torch.tensor([[1.0], [-1.0]]).expand(2, 4)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0]])
    fractions = clip_fractions(torch.zeros(2, 4), ratio.log(), advantages, mask, 0.2, 0.2)
    assert fractions["actor/pg_clipfrac_positive"] == pytest.approx(1 / 3)  # only 1.5
    assert fractions["actor/pg_clipfrac_negative"] == pytest.approx(2 / 3)  # 0.5 and 0.7


def test_clip_fractions_of_a_sign_that_is_absent_are_zero():
    fractions = clip_fractions(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 2), 0.2, 0.2)
    assert fractions == {"actor/pg_clipfrac_positive": 1.0, "actor/pg_clipfrac_negative": 0.0}
