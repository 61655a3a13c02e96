"""What is compiled while a run starts: Triton's launchers by a C compiler with Python's headers, FlashInfer's sampler by nvcc."""

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from rlvr.operate.doctor import Finding, green, red
from rlvr.training import flashinfer


def check(on_gpu: bool) -> Iterator[Finding]:
    """Nothing for a run on the CPU, whose kernels are all built."""
    if not on_gpu:
        return
    headers = Path(sysconfig.get_path("include"))
    yield from check_triton(shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"), headers)
    yield from check_flashinfer(flashinfer.nvcc())


def check_triton(compiler: str | None, headers: Path) -> Iterator[Finding]:
    if compiler is None:
        yield red(
            "compiler", "no C compiler: Triton cannot build what launches its kernels", "apt install gcc, or CC=…"
        )
    elif not (headers / "Python.h").is_file():
        remedy = "apt install python3-dev (of this Python's version), or a Python of pyenv or conda, which have it"
        yield red("compiler", f"no Python.h in {headers}: Triton cannot build what launches its kernels", remedy)
    else:
        yield green("compiler", f"{compiler}, Python.h in {headers}")


def check_flashinfer(nvcc: str | None) -> Iterator[Finding]:
    if nvcc is None:
        yield green("nvcc", f"none: vLLM draws tokens without FlashInfer's sampler ({flashinfer.SWITCH}=0)")
    else:
        yield green("nvcc", f"{nvcc}, for FlashInfer's sampler")
