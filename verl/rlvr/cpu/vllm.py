"""vLLM plugin (entry-point group ``vllm.general_plugins``), loaded in every vLLM process.

In float32, vLLM's CPU backend packs linear weights for oneDNN and throws the originals away, so the first weight sync from the
trainer fails (``'Parameter' object has no attribute 'weight_loader'``). Under ``VERL_PLATFORM=cpu`` that path is switched off.
A plain evaluation, which never changes weights, does not set ``VERL_PLATFORM`` and keeps oneDNN.
"""

from rlvr.cpu import chosen


def register() -> None:
    if chosen():
        import vllm._custom_ops

        vllm._custom_ops._supports_onednn = False
