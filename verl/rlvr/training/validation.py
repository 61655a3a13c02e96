"""What validation reports beside upstream's figures: unbiased pass@k of each data source, and of how many samples it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from rlvr.training.metrics import group_counts, pass_at_k_metrics, standard_error


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
