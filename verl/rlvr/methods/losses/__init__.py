"""Policy losses, one a file: what a step does with the advantages (``actor_rollout_ref.actor.policy_loss.loss_mode``).

``LOSSES`` are registered with verl beside its own; a loss that reads the mark that stands for old log-probs in a step with one
update is in ``READ_MARKS``.
"""

from collections.abc import Callable
from typing import Any

from rlvr.methods.losses.decomposed import compute_policy_loss_decomposed
from rlvr.methods.losses.simko import compute_policy_loss_simko
from rlvr.methods.losses.topr import compute_policy_loss_topr

LOSSES: dict[str, Callable[..., Any]] = {
    "decomposed": compute_policy_loss_decomposed,
    "topr": compute_policy_loss_topr,
    "simko": compute_policy_loss_simko,
}
READ_MARKS = frozenset(LOSSES)
