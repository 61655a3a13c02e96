"""Training steps of the real engine: each method at a rate at which stale weights show, the resume, the speed, several GPUs."""

import math
from collections.abc import Iterator
from dataclasses import replace

from rlvr import machine
from rlvr.launch.memory import pinned
from rlvr.launch.shapes import shape_of
from rlvr.operate.gpu_check import Check, Context, Load, Shape, above, below, figure, materials, memory, reload, runs
from rlvr.operate.gpu_check.runs import Run

DIFFERENCE, PEARSON = "training/rollout_probs_diff_mean", "training/rollout_actor_probs_pearson_corr"
GRADIENT = "actor/grad_norm"
SHARE = 0.8  # of the free main memory, at most
SAVED = 2  # the step after which the resumed run is killed
KILOBYTES = 1024


def started(context: Context, load: Load, method: str, name: str, steps: int, *settings: str) -> tuple[Run, list[str]]:
    folder = context.folder / name
    words = runs.arguments(context, load, method, folder, steps, *settings)
    return runs.launch(words, folder), words


def ended_well(run: Run, name: str, steps: int) -> Check:
    done = run.metrics[-1]["step"] if run.metrics else 0
    good = run.exit_code == 0 and done == steps
    return Check(f"{name} ends", good, f"{done} steps, {run.seconds:.0f} s" if good else run.tail(), f"{steps} steps")


def agreement(run: Run, name: str) -> Iterator[Check]:
    """Every step: vLLM and the actor give the tokens the same probabilities, and the gradient is finite."""
    for one in run.metrics:
        if not one["step"]:
            continue
        what = f"{name}, step {one['step']}"
        yield below(f"{what}, difference of probabilities", one.get(DIFFERENCE, math.nan), 0.01)
        yield above(f"{what}, Pearson's r of probabilities", one.get(PEARSON, math.nan), 0.99)
        norm = one.get(GRADIENT, math.nan)
        yield Check(f"{what}, gradient norm", math.isfinite(norm), norm, "finite")


def train(context: Context) -> Iterator[Check]:
    """NSR, GRPO and PPO; the first again with weights that pass by themselves, because the bucket cannot hold the largest."""
    load, steps = context.sizes.small, context.sizes.steps
    for method in context.sizes.methods:
        run, words = started(context, load, method, f"train-{method}", steps)
        yield ended_well(run, method, steps)
        yield from agreement(run, method)
        yield from compared(words, run)
    if context.device == "cuda":  # on the CPU such a bucket is refused
        embedding = load.shape.vocabulary * load.shape.hidden * 4 // KILOBYTES**2
        key = "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes"
        run, _ = started(context, load, "psr_nsr", "train-small-bucket", steps, f"{key}={embedding // 2}")
        yield ended_well(run, "a bucket below the embedding", steps)
        yield from agreement(run, "a bucket below the embedding")


def compared(words: list[str], run: Run) -> Iterator[Check]:
    if run.memory.is_file():
        yield from memory.compare(words, run.memory)


def resume(context: Context) -> Iterator[Check]:
    """Killed after its checkpoint of step 2 and started again: the same weights and Adam, and the same third step."""
    context = replace(context, gpus=1)  # what is loaded is compared in one process
    load, steps = context.sizes.small, SAVED + 1
    whole, _ = started(context, load, "psr_nsr", "whole", steps)
    yield ended_well(whole, "the undisturbed run", steps)
    folder = context.folder / "killed"
    words = runs.arguments(context, load, "psr_nsr", folder, steps, f"trainer.save_freq={SAVED}")
    newest = folder / "latest_checkpointed_iteration.txt"
    first = runs.launch(words, folder, until=lambda: newest.is_file() and newest.read_text().strip() == str(SAVED))
    yield Check("the run is killed after its checkpoint", first.exit_code != 0, first.exit_code, "not 0")
    kept = folder / f"global_step_{SAVED}" / "actor"
    yield from reload.unchanged(words, kept, context.folder / "reloaded")
    again = runs.launch(words, folder)
    yield ended_well(again, "the resumed run", steps)
    norms = [[one[GRADIENT] for one in run.metrics if one["step"] == steps] for run in (whole, again)]
    if all(norms):
        share = abs(norms[0][-1] - norms[1][-1]) / norms[0][-1]
        yield below(f"gradient norm of step {steps}, against the undisturbed run", share, 0.01)


def speed(context: Context) -> Iterator[Check]:
    """One step of the large shape: seconds of each part, tokens a second, memory; then with gradients moved every micro-batch."""
    load = fitting(context.sizes.large, machine.free_memory())
    yield figure("layers of the large shape that main memory holds", load.shape.layers)
    run, words = started(context, load, "psr_nsr", "speed", 1)
    yield ended_well(run, "one step", 1)
    yield from agreement(run, "one step")
    yield from seconds(run, "")
    yield from compared(words, run)
    few = replace(load, questions=load.mini_batch)
    key = "actor_rollout_ref.actor.fsdp_config.use_no_sync_for_gradient_accumulation"
    for switch in ("true", "false"):
        run, _ = started(context, few, "psr_nsr", f"speed-deferred-{switch}", 1, f"{key}={switch}")
        yield ended_well(run, f"gradients deferred: {switch}", 1)
        yield from seconds(run, f"gradients deferred: {switch}, ")


def fitting(load: Load, free: int) -> Load:
    """The load with as many layers as main memory holds of parameters, gradients and Adam."""
    shape = load.shape
    while shape.layers > 1 and in_main_memory(shape) > SHARE * free:
        shape = replace(shape, layers=shape.layers - 1)
    return replace(load, shape=shape)


def in_main_memory(shape: Shape) -> float:
    """Bytes, as the estimate counts them under ``offload_policy``."""
    tensors = shape_of(materials.model_config(shape).to_dict()).tensors
    return 2 * pinned(tensors, 4, 1) + 8 * sum(tensors)


def seconds(run: Run, name: str) -> Iterator[Check]:
    """What the trainer timed, its tokens a second, and its share of the GPU's arithmetic."""
    for one in run.metrics[-1:]:
        tokens = one.get("perf/total_num_tokens", 0)
        for key, value in one.items():
            part = key.removeprefix("timing_s/")
            if part != key:
                yield figure(f"{name}{part}, s", round(value, 2))
            if part in ("gen", "old_log_prob", "update_actor") and value:
                yield figure(f"{name}{part}, tokens/s", round(tokens / value))
            if key.startswith("perf/mfu"):
                yield figure(f"{name}{key.removeprefix('perf/')}", round(value, 3))


def several(context: Context) -> Iterator[Check]:
    """FSDP2 over all GPUs, vLLM on two each."""
    settings = ("actor_rollout_ref.rollout.tensor_model_parallel_size=2",) if context.device == "cuda" else ()
    wide = replace(context, gpus=max(2, context.gpus))
    run, _ = started(wide, context.sizes.several, "psr_nsr", "several", 1, *settings)
    yield ended_well(run, f"{wide.gpus} training processes", 1)
    yield from agreement(run, f"{wide.gpus} training processes")
