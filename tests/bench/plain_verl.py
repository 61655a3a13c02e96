"""verl as it is: takes back the replacements of :mod:`rlvr.training` that only make it faster.

Loaded by verl itself in every process, before plugins (``VERL_USE_EXTERNAL_MODULES=plain_verl``). What verl needs in order to run
on a CPU at all stays.
"""

from types import ModuleType

import wrapt


@wrapt.when_imported("rlvr.training.micro_batches")
def keep_row_selection(micro_batches: ModuleType) -> None:
    micro_batches.selecting_flat = lambda upstream: upstream


@wrapt.when_imported("rlvr.training.balance")
def keep_partitions(balance: ModuleType) -> None:
    """Imported right before it would replace verl's own function, as the others."""
    from verl.utils import seqlen_balancing

    balance.largest_differencing = seqlen_balancing.karmarkar_karp


@wrapt.when_imported("rlvr.training.token_log_probs")
def keep_log_probs(token_log_probs: ModuleType) -> None:
    from verl.utils import torch_functional

    token_log_probs.log_probs_of_labels = torch_functional.logprobs_from_logits_v2
