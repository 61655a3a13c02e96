"""Training reads what the checks read: other layouts are written once in verl's, and the reward is told who grades them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from rlvr.training.dataset import QuestionDataset, in_one_layout


class Tokenizer:
    def apply_chat_template(self, messages, **_):
        return [1] * len(messages[-1]["content"])


def dataset(files, tmp_path, **more):
    data = {"cache_dir": str(tmp_path / "cache"), "max_prompt_length": 50, "filter_overlong_prompts_workers": 1}
    return QuestionDataset(files, Tokenizer(), OmegaConf.create(data | {"verifiers": {"mine*": "exact"}} | more))


def row(question="p", gold="2", source="own/x"):
    return {
        "data_source": source,
        "prompt": [{"role": "user", "content": question}],
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {"index": 5},
    }


@pytest.fixture
def plain(tmp_path):
    pq.write_table(pa.Table.from_pylist([row()] * 3), tmp_path / "plain.parquet")
    return str(tmp_path / "plain.parquet")


def test_a_file_that_verl_can_read_stays_as_it_is(plain, tmp_path):
    assert in_one_layout([plain], tmp_path / "cache") == [plain]
    (first, *_) = dataset([plain], tmp_path)
    assert first["reward_model"]["ground_truth"] == "2" and first["extra_info"]["index"] == 5
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").glob("plain*"))


def test_files_of_any_layouts_are_joined(plain, tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"question": "q", "answer": "x #### 7"}\n{"question": "' + "long" * 20 + '", "answer": 1}\n'
    )
    (tmp_path / "b.json").write_text(json.dumps([{"Problem": "r", "Answer": 3.0}]))
    pq.write_table(pa.Table.from_pylist([row(gold=["4", "5"])]), tmp_path / "c.parquet")
    files = [plain, *(str(tmp_path / name) for name in ("a.jsonl", "b.json", "c.parquet"))]
    found = dataset(files, tmp_path)
    truths = [one["reward_model"]["ground_truth"]["target"] for one in found]
    assert truths == ["2", "2", "2", "7", "3", '["4", "5"]']  # the long question is filtered by upstream
    assert [one["raw_prompt"][-1]["content"] for one in found][3:5] == ["q", "r"]
    assert {one["data_source"] for one in found} == {"own/x", "own/a", "own/b"}
    made = sorted((tmp_path / "cache").glob("*.parquet"))
    dataset(files, tmp_path)
    assert sorted((tmp_path / "cache").glob("*.parquet")) == made  # written once


def test_the_reward_is_told_what_the_configuration_says(tmp_path):
    pq.write_table(pa.Table.from_pylist([row(source="mine/words")]), tmp_path / "a.parquet")
    (one,) = dataset([str(tmp_path / "a.parquet")], tmp_path)
    assert one["extra_info"] == {"index": 5, "verifier": "exact"}
