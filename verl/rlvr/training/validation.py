"""What validation reports beside upstream's figures: unbiased pass@k of each data source, and of how many samples it is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from rlvr.training.metrics import group_counts, pass_at_k_metrics, standard_error

# Columns of rlvr.training.reward that say nothing of their own beside `acc`: two copies of it, and what is a count.
COPIES, COUNTS = ("reward", "score"), {"timeout": "grader_timeouts", "error": "grader_errors"}


def columns_for_upstream(columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Upstream's validation draws 1,000 bootstrap samples of every numeric column for each question; it gets each figure once."""
    if any(value is None for value in columns.get("acc", [None])):
        return dict(columns)  # a reward function that is not ours
    ours = {name for name in COPIES if list(columns.get(name, [])) == list(columns["acc"])} | COUNTS.keys()
    return {name: values for name, values in columns.items() if name not in ours}


def grader_failures(data_sources: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """``grader_timeouts`` and ``grader_errors`` of each data source: answers that the grader, not the model, failed on."""
    metrics: dict[str, float] = {}
    for column, name in COUNTS.items():
        for source, value in zip(data_sources, columns.get(column, []), strict=column in columns):
            key = f"val-core/{source}/{name}"
            if isinstance(value, (float, int)):  # somebody else's reward function may say something else by these names
                metrics[key] = metrics.get(key, 0.0) + value
    return metrics


def validation_metrics(
    data_sources: Sequence[str], question_ids: Sequence[str], rewards: Sequence[float]
) -> dict[str, float]:
    """``pass@k``, ``samples``, ``questions`` and ``accuracy_standard_error`` of each data source: ``val-core/<data source>/``.

    All arguments are (samples,).
    """
    metrics: dict[str, float] = {}
    for source in sorted(set(data_sources)):
        rows = [row for row, its_source in enumerate(data_sources) if its_source == source]
        groups = group_counts([question_ids[row] for row in rows], [rewards[row] == 1 for row in rows])
        prefix = f"val-core/{source}/"
        metrics |= {f"{prefix}samples": len(rows), f"{prefix}questions": len(groups)} | standard_error(groups, prefix)
        for name, value in pass_at_k_metrics(groups).items():
            metrics[f"{prefix}{name}"] = value
    return metrics


@contextmanager
def texts_only_if_wanted(trainer: Any) -> Iterator[None]:
    """Within it, upstream's validation decodes prompts and answers only for a table or a file of them, which needs them.

    It decodes one after the other, padded to the longest, while the GPUs wait.
    """
    settings, tokenizer = trainer.config.trainer, trainer.tokenizer
    if not (settings.log_val_generations or settings.validation_data_dir):
        trainer.tokenizer = SimpleNamespace(pad_token_id=tokenizer.pad_token_id, decode=lambda *_, **__: "")
    try:
        yield
    finally:
        trainer.tokenizer = tokenizer
