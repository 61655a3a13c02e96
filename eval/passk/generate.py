"""Sample many answers to each question, grade them meanwhile, store them: ``eval.sh`` calls this.

    python -m passk.generate --model_name MODEL --datasets TianHongZXY/AIME2025,data/test.parquet --output_dir DIR \\
        --preset qwen2.5-math [--num_generation 256 --temperature 0.6 --top_p 0.95 --top_k -1 --max_tokens 4096]
        [--prompt_template_type qwen] [--split test] [--batch_size 1000] [--num_gpus 1] [--seed 0] [--limit N]
        [--dtype auto] [--kv_cache_gib N]

``DIR`` gets a JSONL file and a manifest for each data set. The same command goes on where a killed run stopped. Several models
(``--model_name NAME=MODEL,NAME=MODEL``) are evaluated in turn in one process, each in ``DIR/NAME``. With ``RAY_ADDRESS`` set all
nodes of that cluster work on it (:mod:`passk.ray_replicas`). Deliberately left out: choosing settings by looking at the model.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from passk import command_line, manifest, models
from passk.collect import Collector, Task, collect, requests_of
from passk.engine import Answers, EngineSettings, on_gpu, precision, vllm_engine
from passk.grade import Grader, check_verifiers, installed_grader
from passk.presets import Sampling, sampling_of
from passk.questions import Question, dataset_name, fingerprint, load_questions
from passk.replicas import Processes
from passk.sampling import MakeEngine, ReplicaDied, deal, sample, split
from passk.storage import SampleStore
from rlvr import machine
from rlvr.outputs import check_folder
from rlvr.prompts import TEMPLATES, foreign_markers

if TYPE_CHECKING:
    from passk.ray_cluster import Cluster  # loads Ray

PIECE = 32  # answers in a request where there are replicas: a question of 256 is shared by up to eight
LIKELY_SHARE = 0.25  # of --max_tokens: how long an answer is thought to be until some are there

Count = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
DType = Literal["auto", "float32", "bfloat16", "float16"]


def evaluate(
    model_name: str | Sequence[str],
    datasets: str | Sequence[str],
    output_dir: str,
    split: str = "test",
    batch_size: Count = 1000,
    max_tokens: Count | None = None,
    num_gpus: Count | None = None,
    temperature: Annotated[float, Meta(ge=0)] | None = None,
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None,
    top_k: Annotated[int, Meta(ge=-1)] | None = None,
    num_generation: Count | None = None,
    dataset_num_proc: Count = 1,
    resume_id: NotNegative = 0,
    comment: str = "",
    prompt_template_type: str | None = None,
    preset: str | None = None,
    seed: NotNegative = 0,
    limit: Count | None = None,
    dtype: DType = "auto",
    kv_cache_gib: Annotated[float, Meta(gt=0)] | None = None,
    verifiers: Mapping[str, str] | None = None,
    allow_wrong_golds: bool = False,
) -> None:
    """Evaluate models on data sets; goes on where a killed run of the same command stopped.

    Args:
        model_name: hub id, Hugging Face folder or verl checkpoint (global_step_N); several as NAME=MODEL,NAME=MODEL.
        datasets: hub ids or files of any layout of docs/data.md, separated by commas.
        output_dir: gets DATASET-SPLIT.jsonl and its manifest for each data set.
        split: of the hub data sets.
        batch_size: questions that one engine works on at a time; replicas are given what they have room for.
        max_tokens: of an answer.
        num_gpus: split into tensor parallelism, as little as the model needs, and replicas; by default 1 on one machine, and
            all of the cluster that RAY_ADDRESS names.
        temperature: of the sampling; 0 is greedy.
        top_p: of the sampling.
        top_k: of the sampling; -1 is all.
        num_generation: answers to each question.
        dataset_num_proc: processes that load a hub data set.
        resume_id: leave out the questions before this one (what is stored is never sampled again anyway).
        comment: added to the output files' names.
        prompt_template_type: one of rlvr.prompts.
        preset: the paper's settings: qwen2.5-math, llama or qwen3; flags that are given win.
        seed: of the engines; written to the manifest.
        limit: only the first questions.
        dtype: of the model, like bfloat16; by default the model's own, and float32 on a CPU.
        kv_cache_gib: memory of an engine's KV cache; by default vLLM's share of a GPU, and on a CPU what the answers need, at
            most 4 GiB and a quarter of the free memory.
        verifiers: how data sources that are not known are graded, like data.verifiers: '{"my/set*": "math"}'.
        allow_wrong_golds: go on although more than 1 % of a set's golds are empty or wrong.
    """
    flags: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "top_k": top_k}
    flags |= {"num_generation": num_generation, "prompt_template_type": prompt_template_type}
    try:
        sampling = sampling_of(preset, **flags)
        if sampling.prompt_template_type not in TEMPLATES:
            raise ValueError(f"--prompt_template_type {prompt_template_type}: choose one of {', '.join(TEMPLATES)}")
        named = _named_models(model_name)
        for model in named.values():
            models.check_name(model)  # before anything is fetched
        check_folder(Path(output_dir))
        check_verifiers(verifiers)
        # unknown data sources and golds that are none are refused before the engine starts
        loaded = {
            name: load_questions(name, split, dataset_num_proc, verifiers, allow_wrong_golds)[:limit]
            for name in _tuple(datasets)
        }
        for name, questions in loaded.items():
            if resume_id >= len(questions):
                raise ValueError(f"--resume_id {resume_id}: {name} has {len(questions)} questions, which leaves none")
        cluster = _cluster(num_gpus)
        for name, model in named.items():
            folder = Path(output_dir) / name if len(named) > 1 else Path(output_dir)
            tasks = [
                Task(dataset, folder / f"{dataset_name(dataset, split)}{comment}.jsonl", questions)
                for dataset, questions in loaded.items()
            ]
            if len({task.path for task in tasks}) < len(tasks):
                raise ValueError("--datasets: two of them would be written to the same file; evaluate them apart")
            evaluate_model(
                model,
                tasks,
                sampling,
                precision(dtype, on_gpu() if cluster is None else cluster.on_gpus),
                seed,
                limit,
                num_gpus or 1,
                batch_size,
                resume_id,
                kv_cache_gib,
                verifiers=verifiers,
                cluster=cluster,
            )
    except ReplicaDied as error:
        raise SystemExit(
            f"passk.generate: {error}; what is stored stays, the same command goes on from there"
        ) from error
    except (ValueError, OSError) as error:
        raise SystemExit(f"passk.generate: {error}") from error


def evaluate_model(
    model: str,
    tasks: Sequence[Task],
    sampling: Sampling,
    dtype: str,
    seed: int,
    limit: int | None,
    num_gpus: int,
    batch_size: int,
    resume_id: int = 0,
    kv_cache_gib: float | None = None,
    make_engine: MakeEngine = vllm_engine,
    verifiers: Mapping[str, str] | None = None,
    cluster: "Cluster | None" = None,
) -> None:
    """Sample what is not stored yet, on engines that are started only if something is missing."""
    grader = installed_grader(verifiers)
    folder = models.resolve(model)
    facts = models.describe(folder)
    settings = [_settings(task, sampling, facts, dtype, seed, limit, grader) for task in tasks]
    for task, own in zip(tasks, settings):
        manifest.check(task.path, own)
    with ExitStack() as opened:
        stores = [opened.enter_context(closing(_store(task, sampling))) for task in tasks]
        engine_seed = seed_of_start(seed, sum(len(store.question_ids) for store in stores))
        where = {"num_gpus": num_gpus} if cluster is None else cluster.facts()
        start = {"model_name": model, "folder": folder, "engine_seed": engine_seed} | where
        for task, store, own in zip(tasks, stores, settings):
            if len(store.question_ids) < len(task.questions):
                begun = start | {"dataset": task.dataset, "questions_before": len(store.question_ids)}
                manifest.begin(task.path, own, len(task.questions), begun)
        todo = [
            (index, question)
            for index, (task, store) in enumerate(zip(tasks, stores))
            for question in task.questions[resume_id:]
            if question.question_id not in store.question_ids
        ]
        if todo:
            if foreign := foreign_markers(sampling.prompt_template_type, folder):
                print(f"warning: {foreign}", file=sys.stderr)
            settings_of_engine = EngineSettings(folder, dtype, sampling, engine_seed, kv_cache_gib=kv_cache_gib)
            answers = _answers(make_engine, settings_of_engine, facts, num_gpus, cluster, todo, batch_size)
            collect(answers, Collector(tasks, stores, sampling, grader), len(todo))
        for task, store in zip(tasks, stores):
            done = len(store.question_ids)
            rate = store.right / max(1, done * sampling.num_generation)
            print(f"{task.path}: {done} questions × {sampling.num_generation} samples, pass@1 {rate:.3f}")


def _settings(
    task: Task, sampling: Sampling, facts: dict[str, Any], dtype: str, seed: int, limit: int | None, grader: Grader
) -> dict[str, Any]:
    """What the samples depend on; a file may not mix two of these."""
    own = {"model": facts["fingerprint"], "dtype": dtype, "seed": seed, "limit": limit, "grader": grader.stamp}
    return asdict(sampling) | own | {"questions": fingerprint(task.questions)}


def _store(task: Task, sampling: Sampling) -> SampleStore:
    task.path.parent.mkdir(parents=True, exist_ok=True)
    store = SampleStore(task.path, sampling.num_generation)
    if store.cut_off:
        print(f"{task.path}: cut off {store.cut_off} bytes of a question that was not finished")
    return store


def seed_of_start(seed: int, stored: int) -> int:
    """A run that is continued must not draw the same random numbers for its other questions."""
    return int.from_bytes(hashlib.sha256(f"{seed} {stored}".encode()).digest()[:4], "big") >> 1


def _cluster(num_gpus: int | None) -> "Cluster | None":
    """The Ray cluster that is to do the work, if there is one."""
    if not os.environ.get("RAY_ADDRESS"):
        return None
    from passk.ray_cluster import Cluster, cluster_address  # loads Ray

    return Cluster(num_gpus) if cluster_address() else None


def _answers(
    make_engine: MakeEngine,
    settings: EngineSettings,
    facts: dict[str, Any],
    num_gpus: int,
    cluster: "Cluster | None",
    todo: Sequence[tuple[int, Question]],
    batch_size: int,
) -> Iterator[Answers]:
    """Answers from one engine here, or from replicas in processes of their own or on a cluster."""
    sampling = settings.sampling
    if cluster is None and num_gpus == 1:
        started = time.monotonic()
        engine = make_engine(settings)
        print(f"{settings.model}: engine started in {time.monotonic() - started:.0f} s", flush=True)
        return sample(engine, requests_of(todo, sampling), batch_size)
    requests = requests_of(todo, sampling, PIECE)
    likely = LIKELY_SHARE * sampling.max_tokens
    if cluster is not None:
        from passk.ray_replicas import RayReplicas  # loads Ray

        return deal(RayReplicas(cluster, make_engine, settings, facts), requests, likely)
    tensor_parallel, replicas = _split(num_gpus, facts)
    settings = replace(settings, tensor_parallel=tensor_parallel)
    print(f"{settings.model}: {replicas} replicas on {tensor_parallel} GPUs each", flush=True)
    return deal(Processes(make_engine, settings, replicas), requests, likely)


def _split(num_gpus: int, facts: dict[str, Any]) -> tuple[int, int]:
    if facts["weight_bytes"] is None:
        raise ValueError(
            f"--num_gpus {num_gpus} needs a local model, whose size is known: huggingface-cli download it first"
        )
    import torch

    if torch.cuda.device_count() < num_gpus:
        raise ValueError(f"--num_gpus {num_gpus}: this machine has {torch.cuda.device_count()}")
    memory = torch.cuda.get_device_properties(0).total_memory
    return split(num_gpus, facts["weight_bytes"], memory, facts["attention_heads"])


def _named_models(model_name: str | Sequence[str]) -> dict[str, str]:
    """{name: model}; the name tells the folders of several models apart."""
    models_given = _tuple(model_name)
    if len(models_given) == 1:
        return {"": models_given[0]}
    if not all("=" in model for model in models_given):
        raise ValueError("--model_name: several models are given as NAME=MODEL,NAME=MODEL")
    named = dict(model.split("=", 1) for model in models_given)
    if len(named) < len(models_given):
        raise ValueError("--model_name: two models have the same name")
    return named


def _tuple(value: str | Sequence[str]) -> tuple[str, ...]:
    """fire makes a tuple of some comma-separated values and leaves others as they are."""
    return tuple(value.split(",")) if isinstance(value, str) else tuple(map(str, value))


if __name__ == "__main__":
    # Both are read when torch is imported. vLLM binds its memory to this node and warns that it does.
    machine.set_thread_waiting(os.environ)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        command_line.run(evaluate, "passk.generate")
    except KeyboardInterrupt:
        print("\nstopped: the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
