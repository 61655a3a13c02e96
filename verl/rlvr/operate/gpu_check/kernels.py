"""Log-probs and gradients by every way that a run may take, against one sequence at a time under torch's SDPA in float32 sums."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rlvr.operate.gpu_check import Check, Context, below, figure, materials
from rlvr.training import attention, token_log_probs

BOUND = {"cuda": 0.01, "cpu": 1e-4}  # mean absolute difference of log-probs: bf16, float32
GRADIENT = {"cuda": 0.05, "cpu": 1e-4}  # of the gradient's norm
TOKENS = 1100  # three chunks: verl's fused kernel adds up the output embedding's gradient chunk by chunk, in bf16
MODEL_TYPES = ("qwen2", "qwen3", "llama")
LENGTHS = (7, 130, 1, 64, 33)


def run(context: Context) -> Iterator[Check]:
    shape = replace(context.sizes.large.shape, layers=2)
    device = context.device
    for model_type in MODEL_TYPES:
        model = materials.random_model(shape, device, model_type)
        sequences = [torch.randint(2, shape.vocabulary, (length,), device=device) for length in LENGTHS]
        expected = torch.cat([log_probs(model, one[None], None) for one in sequences])
        for name in implementations(device):
            model.set_attn_implementation(name)
            found = log_probs(model, *packed(sequences))
            yield below(
                f"{model_type}, {name} packed, mean difference of log-probs", difference(found, expected), BOUND[device]
            )
        del model
    yield from heads(context, shape.hidden, shape.vocabulary)
    yield from runners(context, replace(shape, layers=2))


def implementations(device: str) -> list[str]:
    names = [attention.NAME, "sdpa"]
    if device == "cuda":
        names.append("flex_attention")
        if importlib.util.find_spec("flash_attn") is not None:
            names.append("flash_attention_2")
    return names


def packed(sequences: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    positions = [torch.arange(len(one), device=one.device) for one in sequences]
    return torch.cat(list(sequences))[None], torch.cat(positions)[None]


@torch.no_grad()
def log_probs(model: Any, ids: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
    """(tokens,) of each token's successor; of the last of a sequence, of whatever comes next in the row."""
    logits = model(input_ids=ids, position_ids=positions, attention_mask=None, use_cache=False).logits[0].float()
    return logits.log_softmax(-1).gather(-1, (ids[0] * 7 % logits.shape[-1])[:, None])[:, 0]


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one.float() - other.float()).abs().mean().item()


def heads(context: Context, hidden: int, vocabulary: int) -> Iterator[Check]:
    """Ours by chunks and verl's fused kernel against log-softmax of float32 logits: values and gradients of the states."""
    from verl.utils.experimental.torch_functional import FusedLinearForPPO

    device = context.device
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    generator = torch.Generator(device).manual_seed(0)
    states = torch.randn(1, TOKENS, hidden, device=device, generator=generator).to(dtype).requires_grad_()
    weight = (
        (torch.randn(vocabulary, hidden, device=device, generator=generator) / hidden**0.5).to(dtype).requires_grad_()
    )
    labels = torch.randint(vocabulary, (1, TOKENS), device=device, generator=generator)
    plain = (states.float() @ weight.float().t()).log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    ours = token_log_probs.log_probs_of_labels(states @ weight.t(), labels)
    fused, _ = FusedLinearForPPO()(states, weight, labels, temperature=1.0)
    expected = torch.autograd.grad(plain.sum(), (states, weight))
    for name, found in (("by chunks", ours), ("verl's fused kernel", fused)):
        yield below(f"{name}, mean difference of log-probs", difference(found, plain), BOUND[device])
        gradients = torch.autograd.grad(found.sum(), (states, weight))
        for of, one, other in zip(("states", "output embedding"), gradients, expected):
            share = ((one.float() - other.float()).norm() / other.float().norm()).item()
            yield below(f"{name}, gradient of the {of}", share, GRADIENT[device])


def runners(context: Context, shape: Any) -> Iterator[Check]:
    """vLLM's log-probs of given tokens; on a GPU by both of its model runners. Each in a process of its own."""
    folder = materials.make_model(context, shape)
    for switch in ("0", "1") if context.device == "cuda" else (None,):
        name = "vLLM" if switch is None else f"vLLM, VLLM_USE_V2_MODEL_RUNNER={switch}"
        environment = os.environ | ({} if switch is None else {"VLLM_USE_V2_MODEL_RUNNER": switch})
        command = [sys.executable, "-m", "rlvr.operate.gpu_check.kernels", str(folder), context.device]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        lines = [line for line in result.stdout.splitlines() if line.startswith("DIFFERENCE")]
        if not lines:
            why = (result.stderr.strip().splitlines() or ["no word"])[-1]
            yield Check(f"{name} starts", False, why, "it answers")
            continue
        found = json.loads(lines[-1].removeprefix("DIFFERENCE"))
        yield below(f"{name}, mean difference of log-probs", found["mean"], BOUND[context.device])
        yield figure(f"{name}, largest difference of log-probs", round(found["largest"], 5))


def vllm_difference(folder: Path, device: str) -> dict[str, float]:
    """Of the log-probs of random tokens, vLLM's and transformers'."""
    from transformers import AutoModelForCausalLM
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    from rlvr.operate.gpu_check import vllm_engine

    engine = vllm_engine.make(folder, device, max_num_seqs=16, max_model_len=512)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(device)
    rows = [torch.randint(2, model.config.vocab_size, (length,)) for length in LENGTHS if length > 1]
    params = SamplingParams(max_tokens=1, prompt_logprobs=0)
    prompts = [TokensPrompt(prompt_token_ids=row.tolist()) for row in rows]
    differences = []
    for row, output in zip(rows, engine.generate(prompts, params, use_tqdm=False), strict=True):
        theirs = [at[token].logprob for at, token in zip(output.prompt_logprobs[1:], row[1:].tolist(), strict=True)]
        with torch.no_grad():
            every = model(input_ids=row[None].to(device)).logits[0, :-1].float().log_softmax(-1)
        ours = every.gather(-1, row[1:, None].to(device))[:, 0].cpu()
        differences.append((ours - torch.tensor(theirs)).abs())
    both = torch.cat(differences)
    return {"mean": both.mean().item(), "largest": both.max().item()}


if __name__ == "__main__":
    print("DIFFERENCE" + json.dumps(vllm_difference(Path(sys.argv[1]), sys.argv[2])))
