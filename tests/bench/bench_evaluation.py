"""Figures of the evaluation, each side by side in one run.

    python tests/bench/bench_evaluation.py engine [--model data/tiny/model --datasets data/tiny/test.parquet]
    python tests/bench/bench_evaluation.py sampler [--model data/smollm2-135m/model --top_p 0.95]
    python tests/bench/bench_evaluation.py long [--seed 0]
    python tests/bench/bench_evaluation.py metrics [--questions 500 --samples 256] [--reference calculate_metrics.py]

``engine``: the same requests through bare ``LLM.generate`` and through the whole evaluation, after an engine has started and
is warm, in turn; the ratio should be at most 1.15. ``sampler``: tokens a second of a model with a real vocabulary, with vLLM's
sampler and cache blocks for the CPU and with this project's, in turn. ``long``: what long answers cost, without a model
(long_answers.py says what it counts). ``metrics``: time and memory of ``calculate_metrics`` on
a file of that size, and of the paper's own script where ``--reference`` says it lies (it wants 256 samples). Deliberately left
out: the start of the engine, and quality.
"""

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fire
import long_answers

ROOT = Path(__file__).resolve().parent.parent.parent
SENTENCE = "We compute this step by step: \\frac{a}{b} and so on, therefore x = 3. "


def engine(
    model: str = "data/tiny/model",
    datasets: str = "data/tiny/test.parquet",
    num_generation: int = 64,
    limit: int = 128,
    rounds: int = 4,
) -> None:
    """Wall time of the evaluation over that of a bare generate."""
    from passk.collect import Task
    from passk.engine import EngineSettings, VllmEngine
    from passk.generate import evaluate_model
    from passk.presets import Sampling
    from passk.questions import load_questions
    from rlvr.prompts import render

    sampling = Sampling("countdown", 40, num_generation=num_generation, temperature=1.0)
    questions = load_questions(datasets, "test", 1)[:limit]
    warm = VllmEngine(EngineSettings(model, "float32", sampling, seed=0))
    prompts = [render("countdown", question.text) for question in questions]
    warm.params.n = num_generation
    times: dict[str, list[float]] = {"bare": [], "evaluation": []}
    for number in range(rounds + 1):  # the first round warms up
        for kind in times if number % 2 else reversed(times):
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                if kind == "bare":
                    _bare_generate(warm, prompts)
                else:
                    task = Task(datasets, Path(folder) / "out.jsonl", questions)
                    evaluate_model(model, [task], sampling, "float32", 0, limit, 1, 1000, make_engine=lambda _: warm)
                if number:
                    times[kind].append(time.perf_counter() - started)
    for kind, seconds in times.items():
        print(f"{kind:<12}{' '.join(f'{one:6.2f}' for one in seconds)}")
    # the fastest, where others use the machine too
    for name, pick in {"medians": statistics.median, "fastest": min}.items():
        ours, bare = pick(times["evaluation"]), pick(times["bare"])
        print(f"{name}: {ours:.2f} s / {bare:.2f} s = {ours / bare:.3f}")


def sampler(
    model: str = "data/smollm2-135m/model",
    template: str = "smollm2",
    sequences: int = 256,
    tokens: int = 64,
    top_p: float = 0.95,
    rounds: int = 2,
) -> None:
    """Tokens a second of the evaluation's engine, ``sequences`` at once, each in a process of its own."""
    program = [sys.executable, __file__, "decode", model, template, str(sequences), str(tokens), str(top_p)]
    flags = {"vLLM's own": ["--plain"], "this project's": []}
    speeds: dict[str, list[float]] = {name: [] for name in flags}
    for number in range(rounds):
        for name in flags if number % 2 == 0 else reversed(flags):
            result = subprocess.run(program + flags[name], check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(result.stdout.splitlines()[-1])
            speeds[name].append(found["tokens"] / found["seconds"])
            print(
                f"{name:<16}{found['tokens']} tokens in {found['seconds']:.1f} s "
                f"({found['first_step']:.1f} of them the first step): {speeds[name][-1]:.0f} a second",
                flush=True,
            )
    before, after = (statistics.median(one) for one in speeds.values())
    print(f"medians: {after:.0f} / {before:.0f} tokens a second = {after / before:.2f}")


def decode(model: str, template: str, sequences: int, tokens: int, top_p: float, plain: bool = False) -> None:
    """One side of ``sampler``: prints the tokens and seconds of one batch, after a short one that warms up.

    ``plain``: with vLLM's own sampler and its own size of a cache block.
    """
    from passk.engine import CPU_ARGUMENTS, EngineSettings, Request, VllmEngine
    from passk.presets import Sampling
    from rlvr.prompts import render

    if plain:
        os.environ["VLLM_PLUGINS"] = "none"
        del CPU_ARGUMENTS["block_size"]
    sampling = Sampling(template, tokens, num_generation=8, temperature=0.6, top_p=top_p)
    engine = VllmEngine(EngineSettings(model, "float32", sampling, seed=0, kv_cache_gib=2))
    engine.params.ignore_eos = True  # the same work for both
    counts = []
    for questions in (1, sequences // 8):
        started = time.perf_counter()
        for key in range(questions):
            prompt = render(template, f"What is {key + 17} + {3 * key + 12} + {7 * key + 5}?")
            engine.add(Request(key, prompt, sampling.num_generation))
        total, first_step = 0, 0.0
        while engine.unfinished:
            total += sum(one.tokens for answers in engine.step() for one in answers.generations)
            first_step = first_step or time.perf_counter() - started
        counts.append({"tokens": total, "seconds": time.perf_counter() - started, "first_step": first_step})
    print(json.dumps(counts[-1]))


def _bare_generate(warm, prompts: list[str]) -> None:
    ids = [warm.llm.get_tokenizer().encode(prompt, add_special_tokens=False) for prompt in prompts]
    outputs = warm.llm.generate([{"prompt_token_ids": one} for one in ids], warm.params, use_tqdm=True)
    assert len(outputs) == len(prompts)


def metrics(questions: int = 500, samples: int = 256, reference: str | None = None, rounds: int = 3) -> None:
    """Time and memory of calculate_metrics on a made-up file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        _write(path, questions, samples)
        print(f"{questions} questions × {samples} samples, {path.stat().st_size / 1e6:.0f} MB")
        programs = {"calculate_metrics": [str(ROOT / "calculate_metrics")]}
        if reference:
            programs["the paper's script"] = [reference]
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, program in programs.items():
                started = time.perf_counter()
                command = [sys.executable, *program, "--file_path", str(path)]
                subprocess.run(command, check=True, capture_output=True)
                times[name].append(time.perf_counter() - started)
    for name, seconds in times.items():
        print(f"{name:<20}{' '.join(f'{one:6.2f}' for one in seconds)}  median {statistics.median(seconds):.2f} s")
    if reference:
        ours, theirs = (statistics.median(seconds) for seconds in times.values())
        print(f"{theirs / ours:.1f} times faster")
    print(f"largest memory of a program: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")


def _write(path: Path, questions: int, samples: int) -> None:
    draw = random.Random(0)
    with path.open("w") as file:
        for question_id in range(questions):
            chance = draw.betavariate(0.6, 0.4)
            for generation_id in range(samples):
                label = draw.random() < chance
                answer = "42" if label else str(int(draw.expovariate(0.2)))
                sample = {"prompt": f"question {question_id}", "question": f"question {question_id}", "answer": "42"}
                sample |= {
                    "question_id": question_id,
                    "generation_id": generation_id,
                    "response": SENTENCE * 28 + answer,
                }
                sample |= {"gold_answer": "42", "pred_answer": answer, "label": label}
                file.write(json.dumps(sample) + "\n")


if __name__ == "__main__":
    fire.Fire({"engine": engine, "sampler": sampler, "decode": decode, "long": long_answers.show, "metrics": metrics})
