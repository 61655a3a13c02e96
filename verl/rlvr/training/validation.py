"""What validation reports beside upstream's figures: unbiased pass@k of each data source."""

from collections.abc import Sequence

from rlvr.training.metrics import group_counts, pass_at_k_metrics


def validation_pass_at_k(
    data_sources: Sequence[str], question_ids: Sequence[str], rewards: Sequence[float]
) -> dict[str, float]:
    """``val-core/<data source>/pass@k``; all arguments are (samples,)."""
    metrics = {}
    for source in sorted(set(data_sources)):
        rows = [row for row, its_source in enumerate(data_sources) if its_source == source]
        groups = group_counts([question_ids[row] for row in rows], [rewards[row] == 1 for row in rows])
        for name, value in pass_at_k_metrics(groups).items():
            metrics[f"val-core/{source}/{name}"] = value
    return metrics
