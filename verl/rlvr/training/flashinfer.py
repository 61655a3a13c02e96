"""vLLM plugin (entry-point group ``vllm.general_plugins``): FlashInfer's sampler only where it can be compiled.

On a GPU vLLM takes FlashInfer for top-p and top-k, in evaluation and training alike, and FlashInfer compiles it with nvcc when the
first token is drawn. Without nvcc that ends the run; with ``VLLM_USE_FLASHINFER_SAMPLER=0`` vLLM draws by torch and Triton. What
the user has set counts. Deliberately left out: attention, for which vLLM brings its own kernels.
"""

import os
import shutil
from pathlib import Path

SWITCH = "VLLM_USE_FLASHINFER_SAMPLER"


def register() -> None:
    if nvcc() is None:
        os.environ.setdefault(SWITCH, "0")


def nvcc() -> str | None:
    """The compiler that FlashInfer would find; None where there is none."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    found = None if home else shutil.which("nvcc")
    file = Path(found or Path(home or "/usr/local/cuda") / "bin" / "nvcc")
    return str(file) if file.is_file() else None
