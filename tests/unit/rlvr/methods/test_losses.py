"""TOPR and SimKO: what defines them, on made-up log-probs."""

import pytest
import torch

from rlvr.methods.losses.decomposed import IS_OWN_OLD_POLICY
from rlvr.methods.losses.simko import SimKO, TopK, compute_policy_loss_simko, top_k_known
from rlvr.methods.losses.topr import compute_policy_loss_topr
from tests.unit.rlvr.methods.test_policy_loss import config

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
ADVANTAGES = torch.tensor([[1.0], [-1.0]]).expand(2, 4)


def gradient(loss_function, old, advantages=ADVANTAGES, mask=MASK, **settings):
    """d loss / d log_prob at log_prob = −1, in units of 1/tokens; log-probs of the old policy are ``old`` lower."""
    new = torch.full((2, 4), -1.0, requires_grad=True)
    old_log_prob = torch.full((2, 4), IS_OWN_OLD_POLICY) if old is None else new.detach() - torch.tensor(old)
    loss, metrics = loss_function(old_log_prob, new, advantages, mask, "token-mean", config(mask), **settings)
    loss.backward()
    return new.grad * mask.sum(), metrics


@pytest.mark.parametrize("old", [None, 0.0])
def test_topr_on_policy_is_reinforce(old):
    found, metrics = gradient(compute_policy_loss_topr, old)
    torch.testing.assert_close(found, -ADVANTAGES * MASK)
    assert metrics["actor/topr_taper"] == 1 and metrics["actor/ppo_kl"] == 0


@pytest.mark.parametrize(("shift", "taper"), [(-1.0, 0.36787944), (-5.0, 0.006737947), (2.0, 1.0)])
def test_topr_fades_on_incorrect_answers_alone(shift, taper):
    found, metrics = gradient(compute_policy_loss_topr, [[shift], [shift]])
    torch.testing.assert_close(found, torch.tensor([[-1.0], [taper]]) * MASK)
    assert metrics["actor/topr_taper"] == pytest.approx(taper)


def test_topr_goes_by_the_mean_over_the_answer():
    old = torch.tensor([[0.0] * 4, [-4.0, 0.0, 0.0, 0.0]]).tolist()
    found, _ = gradient(compute_policy_loss_topr, old)
    torch.testing.assert_close(found[1], torch.full((4,), torch.tensor(-1.0).exp().item()))


def test_topr_takes_weights_of_samples():
    weights = torch.full((2, 4), 0.5)
    found, _ = gradient(compute_policy_loss_topr, None, rollout_is_weights=weights)
    torch.testing.assert_close(found, -0.5 * ADVANTAGES * MASK)


def simko(entropy, is_top, settings=SimKO(k=2, alpha=0.2, quantile=0.5, boost=1.5), old=None):  # noqa: B008
    """(d loss / d log π of the tokens, of the sums over the top K)."""
    sums = torch.full((2, 4), -3.0, requires_grad=True)
    most = torch.where(torch.tensor(is_top), -1.0, -0.5)
    with top_k_known(TopK(settings, sums, most, torch.tensor(entropy))):
        found, metrics = gradient(compute_policy_loss_simko, old)
    of_sums = torch.zeros(2, 4) if sums.grad is None else sums.grad * MASK.sum()
    return found, of_sums, metrics


def test_simko_shares_what_correct_uncertain_tokens_get():
    uncertain = [
        [0.1, 0.9, 0.2, 9.0],
        [0.1, 0.1, 0.1, 0.1],
    ]  # above the median of its answer: the second token of the first
    found, of_sums, metrics = simko(uncertain, [[False] * 4] * 2)
    torch.testing.assert_close(found[0], torch.tensor([-1.0, -0.8, -1.0, 0.0]))
    torch.testing.assert_close(of_sums[0], torch.tensor([0.0, -0.2 / 2, 0.0, 0.0]))
    torch.testing.assert_close(found[1], torch.ones(4))
    assert metrics["actor/simko_shared"] == pytest.approx(1 / 7) and metrics["actor/simko_boosted"] == 0


def test_simko_pushes_harder_on_incorrect_tokens_that_were_the_likeliest():
    entropy = [[0.1] * 4, [0.1, 0.2, 0.8, 0.9]]
    found, of_sums, metrics = simko(entropy, [[True] * 4, [True, True, False, True]])
    torch.testing.assert_close(found[1], torch.tensor([1.0, 1.0, 1.0, 1.5]))
    assert not of_sums.any()
    assert metrics["actor/simko_boosted"] == pytest.approx(1 / 7)


def test_simko_without_uncertain_tokens_is_the_clipped_loss():
    found, of_sums, _ = simko([[0.5] * 4] * 2, [[True] * 4] * 2, old=[[0.5], [-0.5]])
    assert not of_sums.any() and not found.any(), "both ratios are beyond the clip"


def test_simko_needs_the_logits():
    with pytest.raises(LookupError):
        gradient(compute_policy_loss_simko, None)


@pytest.mark.parametrize(
    "settings", [{"k": 0}, {"k": 2.5}, {"alpha": -0.1}, {"alpha": "a"}, {"quantile": 1.1}, {"boost": 0}, {"k": True}]
)
def test_settings_of_simko(settings):
    (line,) = SimKO(**settings).problems()
    assert next(iter(settings)) in line
    assert SimKO().problems() == []
