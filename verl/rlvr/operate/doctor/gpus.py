"""GPUs and their driver."""

from collections.abc import Iterator

from rlvr.cluster.nvidia_smi import Driver
from rlvr.operate.doctor import Finding, green, red, yellow


def check(driver: Driver | None, wanted: int | None) -> Iterator[Finding]:
    """``wanted``: GPUs that the run takes on this machine; None when it runs on the CPU."""
    if wanted is None:
        yield green("gpus", "not needed: the run is on the CPU")
        return
    if driver is None or driver.error or not driver.gpus:
        message = "no nvidia-smi" if driver is None else driver.error or "no GPU is listed"
        yield red(
            "gpus", message, "install NVIDIA's driver (container: docker run --gpus all), or run with machine=cpu"
        )
        return
    kinds = sorted({f"{gpu.name} ({gpu.memory_total / 1024:.0f} GiB)" for gpu in driver.gpus})
    cuda = f", CUDA up to {driver.cuda[0]}.{driver.cuda[1]}" if driver.cuda else ""
    text = f"{len(driver.gpus)} × {', '.join(kinds)}, driver {driver.gpus[0].driver}{cuda}"
    if len(driver.gpus) < wanted:
        yield red("gpus", f"{text}, but the run wants {wanted}", f"trainer.n_gpus_per_node={len(driver.gpus)}")
    else:
        yield green("gpus", text)
    if len(kinds) > 1:
        yield yellow(
            "gpus",
            "they are not alike: the smallest sets the pace and the memory",
            "CUDA_VISIBLE_DEVICES=… of one kind",
        )
    busy = [gpu for gpu in driver.gpus if gpu.memory_used > 0.05 * gpu.memory_total]
    if busy:
        used = ", ".join(f"GPU {gpu.index} {gpu.memory_used / 1024:.1f} GiB" for gpu in busy)
        yield yellow(
            "gpus", f"memory is in use already: {used}", "nvidia-smi lists the processes; end those that are yours"
        )
