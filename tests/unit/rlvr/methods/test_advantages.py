"""The methods: against the paper's own functions and golden values, closed forms, and as properties."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlvr.methods import METHODS, sample_advantages
from rlvr.training.advantage import spread
from tests.plain_methods import PLAIN, Counts
from tests.unit.rlvr.methods.samples import decide, groups_of_samples

TOLERANCE = {"rtol": 0, "atol": 1e-6}
ALL = sorted(METHODS)
GROUPED = [name for name in ALL if METHODS[name].grouped]


@pytest.mark.parametrize("method", ["positive", "negative", "weighted"])
def test_matches_the_papers_code(golden, method):
    for case in golden("advantages.json"):
        rewards, mask = torch.tensor(case["token_level_scores"]), torch.tensor(case["response_mask"])
        settings = {"positive_advantage_weight": case["lambda"]} if method == "weighted" else {}
        of_samples = sample_advantages(method, rewards.sum(-1), case["uid"], **settings)
        advantages, returns = spread(of_samples, rewards, mask)
        expected = case["expected"][method]
        torch.testing.assert_close(advantages, torch.tensor(expected["advantages"]), **TOLERANCE)
        torch.testing.assert_close(returns, torch.tensor(expected["returns"]), **TOLERANCE)
        assert decide(rewards.sum(-1), case["uid"], method, **settings).kept.tolist() == expected["kept"]


@pytest.mark.parametrize("method", GROUPED)
def test_matches_golden_values(golden, method):
    for case in golden("group_advantages.json"):
        if method in case["expected"]:
            settings = {"k": case["k"]} if method == "passk_training" else {}
            expected = torch.tensor(case["expected"][method])
            found = sample_advantages(method, case["rewards"], case["groups"], **settings)
            torch.testing.assert_close(found, expected, **TOLERANCE)


def test_asymre_matches_golden_values(golden):
    for case in golden("group_advantages.json"):
        found = sample_advantages("asymre", case["rewards"], case["groups"], baseline=case["baseline"])
        torch.testing.assert_close(found, torch.tensor(case["expected"]["asymre"]), **TOLERANCE)


# ---- closed forms: tests/plain_methods.py, one question and one sample at a time


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("method", ALL)
def test_closed_form(method, size):
    for c in range(size + 1):
        rewards = [1] * c + [0] * (size - c)
        expected = [PLAIN[method](Counts(size, c, m=c / size), reward) for reward in rewards]
        found = sample_advantages(method, rewards, ["a question"] * size)
        torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-6, atol=1e-6)


@given(groups_of_samples(), st.sampled_from(ALL))
def test_closed_form_with_questions_of_different_sizes(samples, method):
    rewards, groups = samples
    rows = {group: [i for i, one in enumerate(groups) if one == group] for group in groups}
    mean = sum(rewards) / len(rewards)
    expected = [
        PLAIN[method](Counts(len(rows[group]), sum(rewards[i] for i in rows[group]), mean), reward)
        for reward, group in zip(rewards, groups)
    ]
    torch.testing.assert_close(sample_advantages(method, *samples), torch.tensor(expected), rtol=1e-5, atol=1e-5)


# ---- properties


@given(groups_of_samples(), st.sampled_from(ALL), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_changes_nothing(samples, method, random):
    rewards, groups = samples
    before = sample_advantages(method, rewards, groups)
    order = list(range(len(rewards)))
    random.shuffle(order)
    after = sample_advantages(method, [rewards[i] for i in order], [groups[i] for i in order])
    torch.testing.assert_close(after, before[order])


@given(groups_of_samples(), st.sampled_from(ALL))
def test_every_group_size_gives_finite_advantages_of_the_right_sign(samples, method):
    """Also questions of one sample, and of different numbers of them."""
    rewards, groups = samples
    found = sample_advantages(method, rewards, groups)
    correct = torch.tensor(rewards) == 1
    assert found.dtype == torch.float32 and found.shape == (len(rewards),)
    assert found.isfinite().all()
    assert (found[correct] >= 0).all() and (found[~correct] <= 1e-6).all()


@given(groups_of_samples(), st.sampled_from(sorted(set(GROUPED) - {"a_grae"})))
def test_a_question_knows_nothing_of_the_others(samples, method):
    rewards, groups = samples
    together = sample_advantages(method, rewards, groups)
    for group in set(groups):
        rows = [i for i, one in enumerate(groups) if one == group]
        alone = sample_advantages(method, [rewards[i] for i in rows], [group] * len(rows))
        torch.testing.assert_close(together[rows], alone)


@given(groups_of_samples(), st.sampled_from(sorted({*GROUPED} - {"ngrpo"})))
def test_a_question_without_variance_teaches_nothing(samples, method):
    rewards, groups = samples
    found = sample_advantages(method, rewards, groups)
    for group in set(groups):
        rows = [i for i, one in enumerate(groups) if one == group]
        if len({rewards[i] for i in rows}) == 1:
            assert not found[rows].any()


def test_ngrpo_learns_from_a_question_that_nothing_solves():
    found = sample_advantages("ngrpo", [0] * 8, [0] * 8)
    torch.testing.assert_close(found, torch.full((8,), -1 / math.sqrt(8 + 1)), rtol=1e-5, atol=0)
    assert not sample_advantages("ngrpo", [1] * 8, [0] * 8).any()


@given(groups_of_samples())
def test_weighted_is_the_sum_of_the_other_two(samples):
    """L_W-REINFORCE = λ L_PSR + L_NSR."""
    whole = sample_advantages("weighted", *samples, positive_advantage_weight=0.3)
    parts = 0.3 * sample_advantages("positive", *samples) + sample_advantages("negative", *samples)
    torch.testing.assert_close(whole, parts)


@given(groups_of_samples())
def test_pass_at_1_training_is_grpo_with_the_biased_deviation(samples):
    rewards, groups = samples
    found = sample_advantages("passk_training", rewards, groups, k=1)
    for group in set(groups):
        rows = [i for i, one in enumerate(groups) if one == group]
        own = torch.tensor([rewards[i] for i in rows], dtype=torch.float64)
        expected = (own - own.mean()) / (own.std(unbiased=False) + 1e-6)
        torch.testing.assert_close(found[rows].double(), expected, rtol=1e-5, atol=1e-5)


@given(groups_of_samples(), st.sampled_from(["positive", "negative", "dr_grpo", "rloo", "ngrpo"]))
def test_drop_keeps_what_has_an_advantage_and_mask_keeps_all(samples, method):
    dropped, masked = decide(*samples, method), decide(*samples, method, sample_selection="mask")
    assert (dropped.kept == (dropped.advantages != 0)).all()
    assert masked.kept.all()
    assert (masked.effective == dropped.effective).all()
    torch.testing.assert_close(masked.advantages, dropped.advantages)


def test_weighted_keeps_correct_samples_even_without_a_weight():
    """They count in the denominator, which sets it apart from NSR."""
    found = decide([1, 0], [0, 0], "weighted", positive_advantage_weight=0.0)
    assert found.kept.all() and found.advantages.tolist() == [0.0, -1.0]


def test_upstreams_estimators_keep_everything():
    for selection in ("drop", "mask"):
        found = decide([1, 0, 1, 1], [0, 0, 1, 1], None, sample_selection=selection)
        assert found.kept.all() and found.advantages is None


@pytest.mark.parametrize("method", [None, *ALL])
def test_zero_variance(method):
    """Questions: some right, all right, none right, one sample."""
    rewards, groups = [1, 0, 1, 1, 0, 0, 1], [0, 0, 1, 1, 2, 2, 3]
    mixed = [True, True, False, False, False, False, False]
    for selection in ("drop", "mask"):
        assert not decide(rewards, groups, method, sample_selection=selection, zero_variance="drop").kept[2:].any()
        keep = decide(rewards, groups, method, sample_selection=selection, zero_variance="keep").kept
        assert keep[~torch.tensor(mixed)].all()


@pytest.mark.parametrize("method", [None, *ALL])
def test_what_may_not_be_learned_from_counts_nowhere(method):
    """As if its rollout had failed: the others have the advantages that they have without it."""
    rewards, groups = [1, 0, 0, 0, 1], [0, 0, 0, 1, 1]
    learnable = torch.tensor([True, True, False, True, True])
    found = decide(rewards, groups, method, learnable=learnable)
    assert not found.kept[2]
    if method is not None:
        without = sample_advantages(method, [1, 0, 0, 1], [0, 0, 1, 1])
        torch.testing.assert_close(found.advantages[learnable], without)
        assert found.advantages[2] == 0
        assert decide(rewards, groups, method, learnable=learnable, sample_selection="mask").kept.all()


def test_nothing_may_be_learned_from():
    found = decide([0, 0], [0, 0], "negative", learnable=torch.tensor([False, False]))
    assert not found.effective.any() and not found.kept.any()


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"method": "nope"}, "'nope' is unknown: choose one of"),
        ({"rewards": [1, 0.5]}, "0 or 1, got 0.5"),
        ({"rewards": [1, float("nan")]}, "0 or 1"),
        ({"rewards": [1]}, "one length"),
        ({"step": 0}, "step=0"),
        ({"step": 1.5}, "step=1.5"),
        ({"baseline": 0.5}, "baseline=0.5 is no setting of this method: its settings are k"),
        ({"k": 0}, "k=0 must be 1 or more"),
        ({"k": 2.0}, "k=2.0 must be a whole number"),
        ({"k": True}, "k=True must be a whole number"),
        ({"method": "asymre", "baseline": "much"}, "baseline=much must be a number"),
        ({"method": "a_grae", "alpha": 0}, "alpha=0.0 must be above 0"),
        ({"method": "dr_grpo", "k": 2}, "it has none"),
        ({"method": "weighted", "positive_advantage_weight": -1}, "positive_advantage_weight=-1 must be"),
    ],
)
def test_bad_input_is_named_in_one_line(arguments, named):
    with pytest.raises(ValueError) as error:
        sample_advantages(**{"method": "passk_training", "rewards": [1, 0], "groups": [0, 0]} | arguments)
    assert named in str(error.value) and "\n" not in str(error.value)


def test_questions_may_be_anything_hashable():
    expected = sample_advantages("rloo", [1, 0, 0, 1], [0, 1, 0, 1])
    for groups in (["a", "b", "a", "b"], torch.tensor([7, 3, 7, 3]), [torch.tensor(i) for i in (1, 2, 1, 2)]):
        torch.testing.assert_close(sample_advantages("rloo", torch.tensor([1, 0, 0, 1]), groups), expected)


def test_no_samples():
    for method in ALL:
        assert sample_advantages(method, [], []).shape == (0,)


def test_methods_import_nothing_of_the_engine():
    import subprocess
    import sys

    code = (
        "import sys, rlvr.methods; print([m for m in ('verl', 'ray', 'omegaconf', 'tensordict') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
