"""One run of :mod:`bench_step` without a framework: bare vLLM, then a bare training loop in torch.

    python tests/bench/bare_step.py CELL.json      (bench_step.py writes it: model, data, sizes, where to log)

What the same work costs when nothing is paid for scale: one process, prompts tokenised beforehand, no queue, no checks, and no
weights sent back to vLLM, which therefore samples from the first model throughout.
"""

import json
import os
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
os.environ |= {"TORCH_COMPILE_DISABLE": "1"}  # as scripts/env_cpu.sh

import pandas as pd
import torch
from rewards import share_correct
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer
from vllm import LLM, SamplingParams
from vllm.inputs import TokensPrompt

from rlvr.training.token_log_probs import log_probs_of_labels

MICRO_BATCH_TOKENS = 4096  # as configs/machine/cpu.yaml


def main(cell: dict[str, Any]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(cell["model"])
    prompts = [
        encode(tokenizer, record, cell["template"]) for record in pd.read_parquet(cell["data"]).to_dict("records")
    ]
    asked = cycle(prompts)
    engine = LLM(cell["model"], dtype="float32", enforce_eager=True, max_model_len=256, max_num_seqs=256)
    sampling = SamplingParams(
        n=cell["n"], max_tokens=cell["response"], ignore_eos=True, temperature=1.0, detokenize=False
    )
    model = AutoModelForCausalLM.from_pretrained(cell["model"], dtype=torch.float32, attn_implementation="sdpa")
    optimizer = torch.optim.AdamW(model.parameters(), lr=cell["learning_rate"], weight_decay=0.01)
    for step in range(1, cell["steps"] + 1):
        begun = time.perf_counter()
        questions = list(islice(asked, cell["prompts"]))
        outputs = engine.generate([TokensPrompt(prompt_token_ids=ids) for ids in questions], sampling, use_tqdm=False)
        answers = [[list(sample.token_ids) for sample in output.outputs] for output in outputs]
        generated = time.perf_counter()
        texts = tokenizer.batch_decode([answer for group in answers for answer in group], skip_special_tokens=True)
        scores = torch.tensor([share_correct("", text, "")["score"] for text in texts]).view(-1, cell["n"])
        rewarded = time.perf_counter()
        update(model, optimizer, questions, answers, scores)
        ended = time.perf_counter()
        phases = {
            "gen": generated - begun,
            "reward": rewarded - generated,
            "update_actor": ended - rewarded,
            "step": ended - begun,
        }
        with Path(cell["log"]).open("a") as file:
            data = {f"timing_s/{name}": seconds for name, seconds in phases.items()}
            file.write(json.dumps({"step": step, "data": data}) + "\n")


def encode(tokenizer: Any, record: dict[str, Any], template: str) -> list[int]:
    text = tokenizer.apply_chat_template(
        list(record["prompt"]), chat_template=template, tokenize=False, add_generation_prompt=True
    )
    return tokenizer.encode(text, add_special_tokens=False)


def update(
    model: Any, optimizer: Any, questions: list[list[int]], answers: list[list[list[int]]], scores: torch.Tensor
) -> None:
    """GRPO's advantages, token-mean loss at the own policy (ratio 1), one optimizer step."""
    advantages = ((scores - scores.mean(1, keepdim=True)) / (scores.std(1, keepdim=True) + 1e-6)).flatten()
    rows = [(question, answer) for question, group in zip(questions, answers) for answer in group]
    tokens = sum(len(answer) for _, answer in rows)
    longest = max(len(question) + len(answer) for question, answer in rows)
    optimizer.zero_grad()
    for start in range(0, len(rows), size := MICRO_BATCH_TOKENS // longest):
        part = rows[start : start + size]
        ids = pad_sequence([torch.tensor(question + answer) for question, answer in part], batch_first=True)
        positions = torch.arange(ids.shape[1])
        begins = torch.tensor([[len(question)] for question, _ in part])
        ends = torch.tensor([[len(question) + len(answer)] for question, answer in part])
        mask = (positions < ends).long()
        of_answer = ((positions >= begins) & (positions < ends))[:, 1:]
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
        log_probs = log_probs_of_labels(logits, ids[:, 1:])
        loss = -(advantages[start : start + size, None] * log_probs * of_answer).sum() / tokens
        loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
