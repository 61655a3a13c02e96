"""What our rollout workers write into the tags of a sample; how the sampler reads it is in test_sampler.py."""

import asyncio
from types import SimpleNamespace

from rlvr.training.answers import Answer
from rlvr.training.rollout import BatchedRolloutWorker
from rlvr.training.samples import VERDICT


def test_the_tags_of_a_sample_say_its_reward():
    """And of the rest of what the reward function said only what a step needs: texts of answers stay in the fields."""

    async def answers(prompt_ids, n, settings):
        return [[Answer([5, 7], None, True, 3, 3), Answer([6], None, True, 3, 3)]]

    worker = BatchedRolloutWorker.__new__(BatchedRolloutWorker)
    worker.rollout_config = SimpleNamespace(response_length=8)
    worker.tokenizer = SimpleNamespace(batch_decode=lambda rows, skip_special_tokens: [str(row) for row in rows])
    worker.compute_score = lambda solution_str, **_: (
        {"score": 0.0, "kind": "no_answer", "timeout": 0.0, "pred": "long"} if solution_str == "[6]" else 1.0
    )
    worker._answers, worker._tokenize = answers, lambda prompt: [1, 2]
    prompt = {"uid": "a", "data_source": "x", "reward_model": {"ground_truth": "3"}, "global_steps": 4}
    fields, tags = asyncio.run(worker._generate_and_grade([prompt], 2, {}))
    assert [tag[VERDICT] for tag in tags] == [{"reward": 1.0}, {"reward": 0.0, "kind": "no_answer", "timeout": 0.0}]
    assert [field["rm_scores"].sum() for field in fields] == [1.0, 0.0]
    assert fields[1]["extra_fields"]["reward_extra_info"]["pred"] == "long"
