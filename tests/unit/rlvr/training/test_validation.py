"""Validation decodes answers only for somebody who reads them; its figures are tested in test_metrics.py."""

from types import SimpleNamespace

import pytest

from rlvr.training.validation import texts_only_if_wanted


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
