"""The advantage modes: against the paper's own functions (golden), and as properties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvr.methods import MODES
from rlvr.methods.selection import keep
from rlvr.training.advantage import compute_psr_nsr_advantage

TOLERANCE = {"rtol": 0, "atol": 1e-6}


@pytest.mark.parametrize("mode", sorted(MODES))
def test_matches_the_papers_code(golden, mode):
    for case in golden("advantages.json"):
        rewards = torch.tensor(case["token_level_scores"])
        mask = torch.tensor(case["response_mask"])
        config = {"advantage": mode, "positive_advantage_weight": case["lambda"]}
        advantages, returns = compute_psr_nsr_advantage(rewards, mask, config)
        expected = case["expected"][mode]
        torch.testing.assert_close(advantages, torch.tensor(expected["advantages"]), **TOLERANCE)
        torch.testing.assert_close(returns, torch.tensor(expected["returns"]), **TOLERANCE)
        correct = rewards.sum(-1) == 1
        assert keep(correct, "psr_nsr", mode, "drop").tolist() == expected["kept"]


@st.composite
def batches(draw):
    """(rewards, mask, correct): right-padded responses of random length, each with reward 0 or 1 on its last token."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    correct = draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    mask = torch.zeros(len(lengths), max(lengths))
    rewards = torch.zeros_like(mask)
    for row, (length, right) in enumerate(zip(lengths, correct)):
        mask[row, :length] = 1
        rewards[row, length - 1] = float(right)
    return rewards, mask, torch.tensor(correct)


@given(batches(), st.sampled_from(sorted(MODES)), st.floats(0, 2))
def test_every_response_token_gets_the_samples_advantage(batch, mode, weight):
    rewards, mask, correct = batch
    config = {"advantage": mode, "positive_advantage_weight": weight}
    advantages, returns = compute_psr_nsr_advantage(rewards, mask, config)
    on_correct = {"positive": 1.0, "negative": 0.0, "weighted": weight}[mode]
    on_incorrect = {"positive": 0.0, "negative": -1.0, "weighted": -1.0}[mode]
    value = torch.where(correct, on_correct, on_incorrect)
    torch.testing.assert_close(advantages, value[:, None] * mask)
    torch.testing.assert_close(returns, correct[:, None] * mask)


@given(batches(), st.sampled_from(sorted(MODES)))
def test_what_is_not_learned_from_has_no_advantage(batch, mode):
    """``mask`` and ``drop`` agree on which samples have a gradient."""
    rewards, mask, correct = batch
    advantages, _ = compute_psr_nsr_advantage(rewards, mask, {"advantage": mode, "positive_advantage_weight": 0.1})
    dropped = ~keep(correct, "psr_nsr", mode, "drop")
    assert not advantages[dropped].any()
    assert advantages[~dropped].any(dim=-1).all()
    assert keep(correct, "psr_nsr", mode, "mask").all()


@given(batches())
def test_weighted_is_the_sum_of_the_other_two(batch):
    """L_W-REINFORCE = λ L_PSR + L_NSR."""
    rewards, mask, _ = batch
    weight = 0.3

    def advantages(mode):
        return compute_psr_nsr_advantage(rewards, mask, {"advantage": mode, "positive_advantage_weight": weight})[0]

    torch.testing.assert_close(advantages("weighted"), weight * advantages("positive") + advantages("negative"))


@pytest.mark.parametrize("reward", [0.5, -1.0, 2.0, float("nan")])
def test_a_reward_that_is_not_0_or_1_is_an_error(reward):
    rewards = torch.tensor([[0.0, reward], [0.0, 1.0]])
    with pytest.raises(ValueError, match="0 or 1"):
        compute_psr_nsr_advantage(
            rewards, torch.ones(2, 2), {"advantage": "positive", "positive_advantage_weight": 0.1}
        )


@pytest.mark.parametrize("estimator", ["grpo", "gae"])
@pytest.mark.parametrize("selection", ["drop", "mask"])
def test_grpo_and_ppo_keep_everything(estimator, selection):
    assert keep(torch.tensor([True, False]), estimator, "positive", selection).all()
