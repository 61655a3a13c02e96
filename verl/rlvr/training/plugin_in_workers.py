"""Whether the training workers, on whatever nodes they are, have loaded the plugin."""

from typing import Any

import ray


def prove_plugin_in_workers(worker_group: Any) -> None:
    """verl swallows errors of plugins, and the loss is looked up in the training workers only at the first update.

    Raises:
        RuntimeError: if a worker does not know our names.
    """
    found = ray.get([worker.__ray_call__.remote(knows_our_loss) for worker in worker_group.workers])
    if not all(found):
        raise RuntimeError(
            f"{found.count(False)} of {len(found)} training workers did not load the plugin of rlvr-decomposed: "
            "install it on every node (`make install`)"
        )


def knows_our_loss(worker: Any) -> bool:
    """Runs inside a training worker."""
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    return "decomposed" in POLICY_LOSS_REGISTRY
