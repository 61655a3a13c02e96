"""verl's FSDP training engines, registered for the device ``cpu``.

The actor and the reference compute log-probs of answers alone (:mod:`rlvr.cpu.log_probs`) where the model's logits are one product;
other models, distillation and upstream's fused kernels take verl's own way.
"""

from typing import Any

import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

from rlvr.cpu import log_probs

NEEDS_LOGITS = ("distillation_use_topk", "distillation_only", "calculate_sum_pi_squared", "use_fused_kernels")


@EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device="cpu")
class CPUEngineWithLMHead(FSDPEngineWithLMHead):
    """The actor's and the reference's engine."""

    selection: log_probs.Selection | None = None  # of the micro-batch that is under way

    def forward_step(self, micro_batch: TensorDict, loss_function: Any, forward_only: bool) -> Any:
        head = log_probs.plain_head(self.module)
        padded = not tu.get_non_tensor_data(micro_batch, "use_remove_padding", default=True)
        if head is None or not padded or any(tu.get_non_tensor_data(micro_batch, key, False) for key in NEEDS_LOGITS):
            return super().forward_step(micro_batch, loss_function, forward_only)
        input_ids, responses = micro_batch["input_ids"], micro_batch.get("responses", None)
        samples = len(input_ids.offsets()) - 1
        self.selection = log_probs.select(
            input_ids,
            responses if responses is not None and responses.is_nested else None,
            torch.as_tensor(micro_batch["temperature"], dtype=torch.float32).expand(samples),
        )
        try:
            with log_probs.instead_of_logits(head, self.selection):
                return super().forward_step(micro_batch, loss_function, forward_only)
        finally:
            self.selection = None

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: TensorDict, logits_processor_func: Any
    ) -> dict[str, torch.Tensor]:
        """As upstream's; log-probs and entropies (samples, length) are zero for what is no answer."""
        if self.selection is None:
            return super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        both = output.logits.squeeze(0).unbind(-1)
        wanted = (
            ("log_probs", "entropy")
            if tu.get_non_tensor_data(micro_batch, "calculate_entropy", False)
            else ("log_probs",)
        )
        return {
            name: log_probs.spread(one, self.selection, micro_batch["input_ids"]) for name, one in zip(wanted, both)
        }


@EngineRegistry.register(model_type="value_model", backend=["fsdp", "fsdp2"], device="cpu")
class CPUEngineWithValueHead(FSDPEngineWithValueHead):
    """The critic's engine."""
