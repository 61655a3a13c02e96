"""vLLM plugin (entry-point group ``vllm.general_plugins``), loaded in every vLLM process.

On the CPU the next tokens are drawn by :mod:`rlvr.cpu.sampling`, in training and evaluation alike.

In float32, vLLM's CPU backend packs linear weights for oneDNN and throws the originals away, so the first weight sync from the
trainer fails (``'Parameter' object has no attribute 'weight_loader'``). Under ``VERL_PLATFORM=cpu`` that path is switched off.
A plain evaluation, which never changes weights, does not set ``VERL_PLATFORM`` and keeps oneDNN.
"""

from types import ModuleType

import wrapt

from rlvr.cpu import chosen


def register() -> None:
    wrapt.register_post_import_hook(use_sampling, "vllm.v1.sample.ops.topk_topp_sampler")
    if chosen():
        import vllm._custom_ops

        vllm._custom_ops._supports_onednn = False


def use_sampling(sampler_module: ModuleType) -> None:
    """Replaces a method that vLLM calls on the CPU only."""
    from rlvr.cpu import sampling

    sampling.install(sampler_module)
