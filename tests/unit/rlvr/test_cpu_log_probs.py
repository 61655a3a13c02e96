"""Log-probs of answers alone: values, gradients and a whole update are those of verl's own way over all logits."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from verl.utils import tensordict_utils as tu
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.utils.padding import no_padding_2_padding

from rlvr.cpu import log_probs
from rlvr.cpu.engine import CPUEngineWithLMHead

WORDS, HIDDEN = 211, 16
LENGTHS = [(3, 5), (9, 1), (2, 12), (6, 6)]  # tokens of prompt and response


@given(
    rows=st.integers(1, 30),
    words=st.integers(2, 40),
    at_once=st.integers(1, 300),
    temperature=st.sampled_from([None, 0.5, 1.7]),
    entropy_weight=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None)
def test_values_and_gradients(rows, words, at_once, temperature, entropy_weight, seed):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    states, weight = random(rows, 5).requires_grad_(), (2 * random(words, 5)).requires_grad_()
    labels, advantages = torch.randint(words, (rows,), generator=generator), random(rows)
    temperatures = None if temperature is None else torch.full((rows,), temperature, dtype=torch.float64)

    def loss(values: torch.Tensor, entropies: torch.Tensor) -> torch.Tensor:
        return (advantages * values).sum() + entropy_weight * (entropies * entropies).sum()

    every = (states @ weight.t() / (temperature or 1.0)).log_softmax(-1)
    expected = (every.gather(1, labels[:, None]).squeeze(1), -(every.exp() * every).sum(-1))
    gradients = torch.autograd.grad(loss(*expected), (states, weight))
    before, log_probs.LOGITS = log_probs.LOGITS, at_once
    try:
        found = log_probs.SelectedLogProbs.apply(states, weight, labels, temperatures)
        ours = torch.autograd.grad(loss(*found), (states, weight))
    finally:
        log_probs.LOGITS = before
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours, gradients)


def model_of(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    shape = {
        "vocab_size": WORDS,
        "hidden_size": HIDDEN,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "initializer_range": 0.3,
        "attn_implementation": "sdpa",
    }
    if kind == "tied llama":
        return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=True))
    return Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=False))


def micro_batch(*, entropy: bool, temperature: float, responses: bool = True) -> TensorDict:
    """As the engine gets it: jagged, with plain values beside."""
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(WORDS, (prompt,), generator=generator) for prompt, _ in LENGTHS]
    answers = [torch.randint(WORDS, (answer,), generator=generator) for _, answer in LENGTHS]
    whole = [torch.cat(parts) for parts in zip(prompts, answers)]

    def jagged(parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(parts, layout=torch.jagged)

    fields = {"input_ids": jagged(whole), "position_ids": jagged([torch.arange(len(one)) for one in whole])}
    fields |= {"prompts": jagged(prompts), "responses": jagged(answers)} if responses else {}
    batch = TensorDict(fields, batch_size=len(LENGTHS))
    tu.assign_non_tensor(batch, temperature=temperature, calculate_entropy=entropy, use_remove_padding=False)
    return batch


def engine_of(engine_class: type, model: torch.nn.Module) -> FSDPEngineWithLMHead:
    """Without what a process group needs."""
    engine = object.__new__(engine_class)
    engine.module = model
    engine.engine_config = SimpleNamespace(entropy_checkpointing=False)
    engine._autocast_dtype = torch.float32
    engine.pad_to_length = engine.use_ulysses_sp = None
    engine.get_data_parallel_group = lambda: None
    return engine


def update(engine_class: type, kind: str, *, entropy: bool, temperature: float) -> dict[str, torch.Tensor]:
    """Log-probs and entropies of the answers, and the gradient of every parameter after one policy-gradient step."""
    model = model_of(kind)
    engine, batch = engine_of(engine_class, model), micro_batch(entropy=entropy, temperature=temperature)
    found = {}

    def loss(model_output: dict[str, torch.Tensor], data: TensorDict, dp_group: None) -> tuple[torch.Tensor, dict]:
        for name in ("log_probs", "entropy") if entropy else ("log_probs",):
            found[name] = no_padding_2_padding(model_output[name], data)
        mask = torch.nested.to_padded_tensor(torch.ones_like(data["responses"]), 0)
        advantages = torch.tensor([[1.0], [-1.0], [0.5], [-2.0]]) * mask
        total = -(advantages * found["log_probs"].exp()).sum()
        return total - (0.1 * (found["entropy"] * mask).sum() if entropy else 0), {}

    value, output = engine.forward_step(batch, loss, forward_only=False)
    value.backward()
    assert output["loss"] == pytest.approx(float(value.detach()))
    return found | {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", ["tied llama", "qwen2"])
@pytest.mark.parametrize("entropy", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_an_update_is_the_one_over_all_logits(kind, entropy, temperature):
    ours = update(CPUEngineWithLMHead, kind, entropy=entropy, temperature=temperature)
    theirs = update(FSDPEngineWithLMHead, kind, entropy=entropy, temperature=temperature)
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, atol=1e-6, rtol=1e-5, msg=name)


def test_only_what_predicts_an_answer_is_multiplied(monkeypatch):
    seen = []
    apply = log_probs.SelectedLogProbs.apply
    monkeypatch.setattr(
        log_probs.SelectedLogProbs, "apply", lambda *args: (seen.append(args[0].shape), apply(*args))[1]
    )
    model = model_of("tied llama")
    engine_of(CPUEngineWithLMHead, model).forward_step(
        micro_batch(entropy=True, temperature=1.0), None, forward_only=True
    )
    assert seen == [(sum(answer for _, answer in LENGTHS), HIDDEN)]
    assert model(input_ids=torch.tensor([[1, 2]])).logits.shape == (1, 2, WORDS), "the head is itself again"


def test_without_responses_every_prediction_is_computed():
    batch = micro_batch(entropy=False, temperature=1.0, responses=False)
    outputs = []
    for engine_class in (CPUEngineWithLMHead, FSDPEngineWithLMHead):
        engine = engine_of(engine_class, model_of("qwen2"))
        with torch.no_grad():
            outputs.append(engine.forward_step(batch, None, forward_only=True)[1]["model_output"]["log_probs"])
    ours, theirs = ([sample[:-1] for sample in output.unbind()] for output in outputs)
    torch.testing.assert_close(ours, theirs)


def test_other_heads_stay_with_verl():
    assert log_probs.plain_head(model_of("qwen2")) is not None
    capped = SimpleNamespace(config=SimpleNamespace(model_type="gemma2"), get_output_embeddings=lambda: None)
    assert log_probs.plain_head(capped) is None
    biased = SimpleNamespace(
        config=SimpleNamespace(model_type="llama"), get_output_embeddings=lambda: torch.nn.Linear(2, 3)
    )
    assert log_probs.plain_head(biased) is None
