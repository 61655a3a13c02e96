"""What the sampler makes of a batch, with a TransferQueue of a dict: selection, kinds, dynamic sampling. The real one is in
tests/integration.
"""

from types import SimpleNamespace

import pytest
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from rlvr.training import sampler
from rlvr.training.sampler import SKIP, SelectingReplayBuffer
from rlvr.training.samples import stop_tokens


def test_nsr_drops_what_is_right_and_stores_its_advantages(make):
    buffer = make(("a", [1, 0, 0]), ("b", [1, 1, 0]))
    batch, metrics = buffer.sample(1, "train", 2)
    assert batch.keys == ["a_1_0", "a_2_0", "b_2_0"]
    assert set(buffer.queue.rows) == set(batch.keys), "what is dropped has left the queue"
    assert [tag["sample_advantage"] for tag in batch.tags] == [-1.0] * 3
    assert buffer.queue.tags == {key: {"sample_correct": 0.0, "sample_advantage": -1.0} for key in batch.keys}
    assert all("response_len" in tag for tag in batch.tags)
    assert metrics["rlvr/kept_count"] == metrics["rlvr/incorrect_wrong"] == 3
    assert (metrics["rlvr/pushed_up_count"], metrics["rlvr/pushed_down_count"]) == (0, 3)


def test_what_is_pushed_is_counted_by_its_sign(make):
    def pushed(**settings):
        metrics = make(("a", [1, 1, 0]), ("b", [1, 1, 1]), **settings).sample(1, "train", 2)[1]
        return metrics.get("rlvr/pushed_up_count"), metrics.get("rlvr/pushed_down_count")

    assert pushed(advantage="weighted") == (5, 1)
    assert pushed(advantage="negative", sample_selection="mask") == (0, 1), "a kept sample of advantage 0 is not pushed"
    assert pushed(advantage="weighted", zero_variance="drop") == (2, 1), "nor is one that has left the step"
    assert pushed(adv_estimator="grpo") == (None, None), "its advantages come later"


def test_kinds_are_counted_and_some_are_not_learned_from(make):
    answers = [1, 0, "no_answer", "unreadable", "grader_failed", "cut", "full"]
    batch, metrics = make(("a", answers)).sample(1, "train", 1)
    kinds = {name.removeprefix("rlvr/incorrect_"): value for name, value in metrics.items() if "incorrect_" in name}
    assert kinds == {
        "count": 6, "wrong": 2, "no_answer": 1, "unreadable": 1, "grader_failed": 1, "truncated": 1,
    }  # fmt: skip
    assert metrics["rlvr/grader_timeouts"] == 1
    assert batch.keys == ["a_1_0", "a_2_0", "a_3_0", "a_5_0", "a_6_0"], "the grader failed on a_4_0"

    batch, _ = make(("a", answers), learn_from_incorrect=["wrong"]).sample(1, "train", 1)
    assert batch.keys == ["a_1_0", "a_6_0"]
    batch, _ = make(("a", answers), learn_from_incorrect=["grader_failed"], sample_selection="mask").sample(
        1, "train", 1
    )
    assert len(batch.keys) == 7


def test_grpo_learns_from_what_may_be_learned_from(make):
    buffer = make(("a", [1, 0, "grader_failed"]), ("b", [1, 1]), adv_estimator="grpo")
    batch, _ = buffer.sample(1, "train", 2)
    assert batch.keys == ["a_0_0", "a_1_0", "b_0_0", "b_1_0"]
    assert [tag["sample_correct"] for tag in batch.tags] == [1, 0, 1, 1]
    buffer = make(("a", [1, 0, 0]), ("b", [1, 1]), adv_estimator="grpo", zero_variance="drop")
    assert buffer.sample(1, "train", 2)[0].keys == ["a_0_0", "a_1_0", "a_2_0"]


def test_a_step_without_anything_to_learn_keeps_its_batch(make):
    batch, metrics = make(("a", [1, 1])).sample(1, "train", 1)
    assert batch.extra_info[SKIP] and batch.keys == ["a_0_0", "a_1_0"]
    assert metrics["rlvr/kept_count"] == 0


def test_a_reward_that_is_no_reward_names_its_source(make):
    with pytest.raises(ValueError, match=r"'a source': a verifiable reward is 0 or 1, got 0\.5"):
        make(("a", [1, 0.5])).sample(1, "train", 1)


def test_rewards_of_our_rollout_workers_come_with_the_tags(make, request):
    buffer, fetched = make(("a", [1, 0])), []
    get = buffer.queue.kv_batch_get
    buffer.queue.kv_batch_get = lambda keys, partition_id, select_fields: (
        fetched.extend(select_fields) or get(keys, partition_id, select_fields)
    )
    buffer.sample(1, "train", 1)
    ours = "our rollout workers" in request.node.name
    assert fetched == ([] if ours else ["rm_scores", "extra_fields"])


def test_dynamic_sampling_asks_until_the_batch_is_full(make):
    """Two of four have signal: four more are asked for the two that are missing, and one of three is too many."""
    solved, unsolved, mixed = [1, 1], [0, 0], [1, 0]
    buffer = make(
        ("a", mixed), ("b", solved), ("c", unsolved), ("d", mixed),
        ("e", mixed), ("f", solved), ("g", mixed), ("h", mixed),
        filter_groups={"enable": True, "max_num_gen_batches": 10},
        advantage="rloo",
    )  # fmt: skip
    batch, metrics = buffer.sample(1, "train", 4)
    assert buffer.asked == [4]
    assert {key[0] for key in batch.keys} == {"a", "d", "e", "g"}
    assert set(buffer.queue.rows) == set(batch.keys)
    assert metrics["rlvr/refilled_questions"] == 4
    assert metrics["rlvr/questions_without_signal"] == 3
    assert metrics["rlvr/surplus_questions"] == 1 and metrics["rlvr/missing_questions"] == 0
    assert metrics["rlvr/questions"] == 8, "accuracy and pass@k are over all that was asked"
    assert metrics["rlvr/accuracy"] == pytest.approx(9 / 16)


def test_dynamic_sampling_ends_at_its_bound(make, caplog):
    never = [(f"q{number}", [1, 1]) for number in range(99)]
    buffer = make(("a", [1, 0]), *never, filter_groups={"enable": True, "max_num_gen_batches": 3}, advantage="rloo")
    batch, metrics = buffer.sample(1, "train", 4)
    assert sum(buffer.asked) == 8, "12 questions at most, 4 of them at first"
    assert {key[0] for key in batch.keys} == {"a"}
    assert metrics["rlvr/missing_questions"] == 3


def test_dynamic_sampling_that_finds_nothing_skips_the_step(make):
    solved = [(f"q{number}", [1, 1]) for number in range(99)]
    buffer = make(*solved, filter_groups={"enable": True, "max_num_gen_batches": 2}, adv_estimator="grpo")
    batch, metrics = buffer.sample(1, "train", 3)
    assert batch.extra_info[SKIP] and len(batch.keys) == 12
    assert metrics["rlvr/missing_questions"] == 3


def test_failed_rollouts_leave_groups_of_different_sizes(make):
    buffer = make(("a", [1, 0, 0, 0]), ("b", [1]), ("c", [0, 1]), advantage="dr_grpo")
    batch, metrics = buffer.sample(1, "train", 3)
    found = {key: tag["sample_advantage"] for key, tag in zip(batch.keys, batch.tags)}
    assert found == {"a_0_0": 0.75, "a_1_0": -0.25, "a_2_0": -0.25, "a_3_0": -0.25, "c_0_0": -0.5, "c_1_0": 0.5}
    assert "rlvr/pass@1" not in metrics


def test_tokens_that_end_a_response():
    tokenizer = SimpleNamespace(eos_token_id=5)
    assert stop_tokens(tokenizer, None) == {5}
    assert stop_tokens(tokenizer, SimpleNamespace(eos_token_id=7)) == {5, 7}
    assert stop_tokens(tokenizer, SimpleNamespace(eos_token_id=[5, 8])) == {5, 8}
    assert stop_tokens(SimpleNamespace(eos_token_id=None), SimpleNamespace(eos_token_id=None)) == frozenset()


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """Warnings of the sampler, whose logger verl shields."""
    lines: list[str] = []
    monkeypatch.setattr(sampler.logger, "warning", lambda text, *values: lines.append(text % values))
    return lines


def test_questions_that_failed_are_counted_and_said(make, said):
    buffer = make(("a", [1, 0]), ("b", []), ("c", [0, 1]))
    _, metrics = buffer.sample(1, "train", 3)
    assert metrics["rlvr/failed_questions"] == 1 and metrics["rlvr/questions"] == 2
    assert "the rollouts of 1 of 3 questions failed" in said[0]


def refilling(monkeypatch, failing: list[set[str]]):
    """What upstream asks for where these questions fail, look after look."""
    buffer = SelectingReplayBuffer.__new__(SelectingReplayBuffer)
    buffer.refilled, buffer.most_refilled = 0, 2
    looks = iter(failing)
    upstream = lambda self, step, partition: (set(), set(), next(looks), {})  # noqa: E731
    monkeypatch.setattr(ReplayBuffer, "_terminal_eviction_reasons", upstream)
    return buffer


def test_questions_that_fail_are_replaced(monkeypatch, said):
    buffer = refilling(monkeypatch, [{"a", "b"}, set()])
    assert buffer._terminal_eviction_reasons(3, "train")[2] == {"a", "b"}
    assert buffer._terminal_eviction_reasons(3, "train")[2] == set()
    assert said == ["step 3: the rollouts of 2 questions failed, others are asked"]


def test_questions_that_go_on_failing_end_the_run(monkeypatch):
    buffer = refilling(monkeypatch, [{"a"}, {"b"}, {"c"}])
    buffer._terminal_eviction_reasons(3, "train")
    buffer._terminal_eviction_reasons(3, "train")
    with pytest.raises(RuntimeError, match=r"step 3: the rollouts of 3 questions failed, more than 2"):
        buffer._terminal_eviction_reasons(3, "train")


@pytest.mark.parametrize(("look_s", "expected"), [(0.0001, 0.02), (0.05, 0.45), (0.1, 0.9), (1.0, 2.0)])
def test_looking_takes_a_tenth_of_the_time_at_most(look_s, expected):
    assert sampler.poll_interval(look_s) == pytest.approx(expected)
