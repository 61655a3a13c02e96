"""verl as it is: takes back the replacements of :mod:`rlvr.cpu.patches` and :mod:`rlvr.training` that only make it faster.

Loaded by verl itself in every process, before plugins (``VERL_USE_EXTERNAL_MODULES=plain_verl``). What verl needs in order to run
on a CPU at all stays.
"""

from types import ModuleType
from typing import Any

import wrapt

from rlvr.cpu import patches


def leave_as_it_is(_: Any) -> None:
    pass


patches.patch_row_selection = leave_as_it_is


@wrapt.when_imported("rlvr.training.balance")
def take_back(balance: ModuleType) -> None:
    base = balance.trainer_base
    base.get_seqlen_balanced_partitions = base.get_seqlen_balanced_partitions.__wrapped__


@wrapt.when_imported("rlvr.training.token_log_probs")
def keep(token_log_probs: ModuleType) -> None:
    """Imported right before it would replace verl's own function."""
    from verl.utils import torch_functional

    token_log_probs.log_probs_of_labels = torch_functional.logprobs_from_logits_v2
