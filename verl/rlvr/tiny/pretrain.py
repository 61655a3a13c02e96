"""Supervised pre-training of the tiny base model: a 0.3 M-parameter Qwen2 on traces of Countdown.

Muon in float32 for the matrices and AdamW for the rest, linear warm-up and decay, batches of questions of one size, two CPU
cores. Deterministic for a given seed, torch build and machine. Deliberately left out: evaluation (the quickstart does it with the
real engine) and checkpoints (it takes little more than a minute).
"""

import random
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from rlvr.tiny.task import SIZES, Question
from rlvr.tiny.tokenizer import ANSWER, EOS, PAD, QUESTION, build_tokenizer
from rlvr.tiny.traces import Mixture, make_trace

IGNORED = -100
TOKEN = re.compile(r"<\w+>|\\boxed\{|->|[0-9]+|.")
PARTS = 2  # of a batch, each in a thread
HEAD_SIZE = 32  # the smallest that vLLM's CPU attention has


@dataclass(frozen=True)
class Recipe:
    """Sizes and optimiser settings of the base model."""

    steps: int = 1100
    batch_size: int = 48
    muon_lr: float = 0.02
    lr: float = 3e-3
    warmup_steps: int = 50
    hidden_size: int = 96
    layers: int = 3
    intermediate_size: int = 256
    mixture: Mixture = field(default_factory=Mixture)


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=128,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        intermediate_size=recipe.intermediate_size,
        num_attention_heads=recipe.hidden_size // HEAD_SIZE,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.06,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config).float()


def pretrain(
    questions: list[Question], recipe: Recipe, seed: int = 0
) -> tuple[Qwen2ForCausalLM, PreTrainedTokenizerFast]:
    """Train a new model on traces of ``questions``; shows a progress bar with the loss."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # in an operation: the matrices are tiny. The halves of a batch have a thread each
    rng = random.Random(seed)
    tokenizer = build_tokenizer()
    vocabulary = tokenizer.get_vocab()
    model = new_model(recipe, tokenizer)

    by_size = [[question for question in questions if len(question.numbers) == size] for size in SIZES]
    optimizers = new_optimizers(model, recipe)

    def schedule(step: int) -> float:
        return min(1.0, (step + 1) / recipe.warmup_steps) * max(0.02, 1.0 - step / recipe.steps)

    schedulers = [torch.optim.lr_scheduler.LambdaLR(optimizer, schedule) for optimizer in optimizers]

    model.train()
    threads = ThreadPoolExecutor(PARTS)
    with threads, tqdm(range(recipe.steps), desc="pre-training", unit="step", mininterval=1.0) as bar:
        for step in bar:
            batch = rng.choices(rng.choice(by_size), k=recipe.batch_size)  # of one size, so that little is padded
            loss = set_gradients(model, *encode(vocabulary, batch, recipe.mixture, rng), threads)
            for optimizer, scheduler in zip(optimizers, schedulers):
                optimizer.step()
                scheduler.step()
            if step % 50 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return model.eval(), tokenizer


def set_gradients(
    model: Qwen2ForCausalLM, input_ids: torch.Tensor, labels: torch.Tensor, threads: ThreadPoolExecutor
) -> torch.Tensor:
    """Gradients of the mean loss of a batch (batch, length), and that loss; the batch is shared out to ``threads``.

    In as many parts on every machine, added up in their order, so that the bytes do not depend on the cores.
    """
    parameters = list(model.parameters())
    count = (labels[:, 1:] != IGNORED).sum()

    def of_part(part: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        ids, wanted = part
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        total = F.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), wanted[:, 1:].reshape(-1), ignore_index=IGNORED, reduction="sum"
        )
        loss = total / count
        return loss.detach(), torch.autograd.grad(loss, parameters)

    parts = list(threads.map(of_part, zip(input_ids.chunk(PARTS), labels.chunk(PARTS), strict=True)))
    for parameter, *gradients in zip(parameters, *(gradients for _, gradients in parts), strict=True):
        parameter.grad = torch.stack(gradients).sum(0)
    return torch.stack([loss for loss, _ in parts]).sum()


def new_optimizers(model: Qwen2ForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon (https://kellerjordan.github.io/posts/muon) is made for hidden matrices; AdamW takes embeddings, norms and biases."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    chosen = set(map(id, matrices))
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        Float32Muon(matrices, lr=recipe.muon_lr, weight_decay=0.0),
        torch.optim.AdamW(rest, lr=recipe.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


class Float32Muon(torch.optim.Muon):
    """torch's Muon, orthogonalising in float32.

    Upstream casts to bfloat16, for which most CPUs have no instructions: 13 times as long as float32 with AVX2.
    """

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        with _NoBfloat16():
            return super().step(closure)


class _NoBfloat16(TorchFunctionMode):
    """While it is on, ``tensor.bfloat16()`` is a float32 copy."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.bfloat16:
            return args[0].to(torch.float32, copy=True)  # a copy, because it is then scaled in place
        return func(*args, **(kwargs or {}))


def encode(
    vocabulary: dict[str, int], questions: list[Question], mixture: Mixture, rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels, both (batch, length); prompts and padding are ignored in the labels."""
    prompts = [token_ids(vocabulary, f"{QUESTION}{question.text}{ANSWER}") for question in questions]
    answers = [token_ids(vocabulary, f"{make_trace(question, mixture, rng)}{EOS}") for question in questions]
    length = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers))
    input_ids = torch.full((len(questions), length), vocabulary[PAD])
    labels = torch.full_like(input_ids, IGNORED)
    for row, (prompt, answer) in enumerate(zip(prompts, answers)):
        end = len(prompt) + len(answer)
        input_ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return input_ids, labels


def token_ids(vocabulary: dict[str, int], text: str) -> list[int]:
    """What the tokenizer makes of a question or an answer, several times faster."""
    return [vocabulary[token] for token in TOKEN.findall(text)]
