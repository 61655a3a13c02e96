"""Validation decodes answers only for somebody who reads them; its figures are tested in test_metrics.py."""

from types import SimpleNamespace

import pytest

from rlvr.training.validation import columns_for_upstream, grader_failures, texts_only_if_wanted


@pytest.mark.parametrize(
    ("settings", "text"),
    [({}, ""), ({"log_val_generations": 3}, "an answer"), ({"validation_data_dir": "a/folder"}, "an answer")],
)
def test_answers_are_decoded_for_a_table_or_a_file(settings, text):
    tokenizer = SimpleNamespace(pad_token_id=7, decode=lambda ids, skip_special_tokens: "an answer")
    config = SimpleNamespace(**{"log_val_generations": 0, "validation_data_dir": None} | settings)
    trainer = SimpleNamespace(tokenizer=tokenizer, config=SimpleNamespace(trainer=config))
    with pytest.raises(ZeroDivisionError), texts_only_if_wanted(trainer):
        assert trainer.tokenizer.decode([1, 2], skip_special_tokens=True) == text
        assert trainer.tokenizer.pad_token_id == 7
        raise ZeroDivisionError
    assert trainer.tokenizer is tokenizer


def test_upstream_gets_each_figure_once():
    right, zeros = [1.0, 0.0], [0.0, 0.0]
    ours = {"reward": right, "score": right, "acc": right, "pred": ["1", "2"], "timeout": zeros, "error": zeros}
    assert columns_for_upstream(ours) == {"acc": right, "pred": ["1", "2"]}
    shaped = ours | {"reward": [0.9, -0.1], "brevity": [0.3, 0.4]}
    assert columns_for_upstream(shaped).keys() == {"acc", "pred", "reward", "brevity"}
    for other in ({"reward": right}, {"reward": right, "acc": [1.0, None]}):
        assert columns_for_upstream(other) == other


def test_failures_of_the_grader_are_counted_by_source():
    columns = {"timeout": [1.0, 0.0, 1.0], "error": ["", "no answer", None]}
    assert grader_failures(["a", "b", "a"], columns) == {
        "val-core/a/grader_timeouts": 2.0, "val-core/b/grader_timeouts": 0.0,
    }  # fmt: skip
    assert grader_failures(["a"], {"reward": [1.0]}) == {}
