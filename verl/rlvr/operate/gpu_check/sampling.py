"""The evaluation's sampling with top-p, with and without FlashInfer's sampler, and vLLM's speed at several numbers of samples."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rlvr.operate.gpu_check import Check, Context, figure, materials
from rlvr.training import flashinfer

QUESTIONS, SAMPLES, TOP_P = 4, 8, 0.95
SPEED = "SPEED"


def evaluate(context: Context) -> Iterator[Check]:
    load = context.sizes.small
    model, questions = materials.make_model(context, load.shape), materials.make_questions(context, load)
    switches = [None] if context.device == "cpu" else ["0", *(["1"] if flashinfer.nvcc() else [])]
    for switch in switches:
        name = "sampling with top-p" if switch is None else f"sampling with top-p, {flashinfer.SWITCH}={switch}"
        folder = context.folder / f"evaluation-{switch}"
        command = [sys.executable, "-m", "passk.generate", f"--model_name={model}", f"--datasets={questions}"]
        command += [f"--output_dir={folder}", f"--limit={QUESTIONS}", f"--num_generation={SAMPLES}", f"--top_p={TOP_P}"]
        command += [f"--max_tokens={load.tokens}", "--temperature=0.6", "--prompt_template_type=countdown"]
        environment = os.environ | ({} if switch is None else {flashinfer.SWITCH: switch})
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        files = list(folder.glob("*.jsonl"))
        answers = sum(len(file.read_text().splitlines()) for file in files)
        good = result.returncode == 0 and answers == QUESTIONS * SAMPLES
        said = (result.stderr.strip().splitlines() or ["no word"])[-1]
        yield Check(name, good, f"{answers} answers" if good else said, f"{QUESTIONS * SAMPLES} answers")


def speed(context: Context) -> Iterator[Check]:
    """Tokens a second of a whole load of samples, with random weights that are not even read; each in a process of its own."""
    load = context.sizes.large
    model = materials.make_model(context, load.shape)
    for at_once in context.sizes.samples_at_once:
        words = [str(model), context.device, str(at_once), str(load.questions), str(load.samples), str(load.tokens)]
        command = [sys.executable, "-m", "rlvr.operate.gpu_check.sampling", *words]
        result = subprocess.run(command, capture_output=True, text=True)
        lines = [line for line in result.stdout.splitlines() if line.startswith(SPEED)]
        if lines:
            yield figure(f"generation at max_num_seqs={at_once}, tokens/s", json.loads(lines[-1].removeprefix(SPEED)))
        else:
            why = (result.stderr.strip().splitlines() or ["no word"])[-1]
            yield Check(f"generation at max_num_seqs={at_once}", False, why, "it ends")


def tokens_a_second(model: Path, device: str, at_once: int, questions: int, samples: int, tokens: int) -> float:
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    from rlvr.operate.gpu_check import vllm_engine

    llm = vllm_engine.make(model, device, load_format="dummy", max_num_seqs=at_once, max_model_len=64 + tokens)
    params = SamplingParams(n=samples, max_tokens=tokens, ignore_eos=True, detokenize=False)
    prompts = [TokensPrompt(prompt_token_ids=[2 + number % 64] * 32) for number in range(questions)]
    llm.generate(prompts[:1], params, use_tqdm=False)  # what is compiled at the first token
    started = time.perf_counter()
    llm.generate(prompts, params, use_tqdm=False)
    return round(questions * samples * tokens / (time.perf_counter() - started))


if __name__ == "__main__":
    folder, chosen, *numbers = sys.argv[1:]
    print(SPEED + json.dumps(tokens_a_second(Path(folder), chosen, *map(int, numbers))))
