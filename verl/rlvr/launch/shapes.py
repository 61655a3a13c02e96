"""Shapes of models: from a ``config.json``, or from the table below where a hub model is not on this machine.

Deliberately left out: mixture-of-experts and multimodal models; they are refused by name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# From the models' public config.json on huggingface.co: the fields that decide memory and validation.
KNOWN: dict[str, dict[str, Any]] = {
    # https://huggingface.co/Qwen/Qwen2.5-Math-7B/blob/main/config.json
    "Qwen/Qwen2.5-Math-7B": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "max_position_embeddings": 4096,
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": 152064,
    },
    # https://huggingface.co/Qwen/Qwen3-4B/blob/main/config.json
    "Qwen/Qwen3-4B": {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "head_dim": 128,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "max_position_embeddings": 40960,
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": 151936,
    },
    # https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct/blob/main/config.json
    "HuggingFaceTB/SmolLM2-135M-Instruct": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "max_position_embeddings": 8192,
        "num_attention_heads": 9,
        "num_hidden_layers": 30,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": 49152,
    },
    # https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct/blob/main/config.json
    "meta-llama/Llama-3.1-8B-Instruct": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "max_position_embeddings": 131072,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": 128256,
    },
}
DENSE = ("llama", "qwen2", "qwen3", "mistral")


@dataclass(frozen=True)
class Shape:
    """What memory depends on in a dense decoder with a gated MLP."""

    model_type: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool  # input and output embeddings are one matrix
    max_positions: int

    @property
    def embedding(self) -> int:
        """Parameters of one embedding matrix."""
        return self.vocab * self.hidden

    @property
    def linear(self) -> list[tuple[int, int]]:
        """(in, out) of each linear layer of one decoder layer."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = [(self.hidden, query), (self.hidden, key), (self.hidden, key), (query, self.hidden)]
        mlp = [(self.hidden, self.intermediate)] * 2 + [(self.intermediate, self.hidden)]
        return attention + mlp

    @property
    def layer(self) -> int:
        """Parameters of one decoder layer."""
        weights = sum(rows * columns for rows, columns in self.linear)
        biases = (self.heads + 2 * self.kv_heads) * self.head_dim if self.model_type == "qwen2" else 0
        norms = 2 * self.hidden + (2 * self.head_dim if self.model_type == "qwen3" else 0)
        return weights + biases + norms

    @property
    def parameters(self) -> int:
        """Parameters of the language model."""
        return self.layers * self.layer + self.hidden + self.embedding * (1 if self.tied else 2)

    @property
    def value_parameters(self) -> int:
        """Parameters of the critic: no output embedding, a head with one output and a bias."""
        return self.layers * self.layer + self.hidden + self.embedding + self.hidden + 1

    @property
    def tensors(self) -> list[int]:
        """Parameters of each matrix and vector of the language model."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        layer = [rows * columns for rows, columns in self.linear] + [self.hidden] * 2
        layer += [query, key, key] if self.model_type == "qwen2" else []
        layer += [self.head_dim] * 2 if self.model_type == "qwen3" else []
        return self.layers * layer + [self.hidden] + [self.embedding] * (1 if self.tied else 2)

    @property
    def value_tensors(self) -> list[int]:
        """As ``tensors``, of the critic."""
        body = self.tensors if self.tied else self.tensors[:-1]
        return [*body, self.hidden, 1]

    def adapter_tensors(self, rank: int) -> list[int]:
        """Parameters of each LoRA adapter of ``rank``, two for every linear layer of the decoder; none of rank 0."""
        return self.layers * [rank * side for sides in self.linear for side in sides if rank]

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA adapters of ``rank`` on all linear layers of the decoder."""
        return sum(self.adapter_tensors(rank))


def shape_of(fields: Mapping[str, Any]) -> Shape:
    """The shape in a ``config.json``.

    Raises:
        ValueError: names the model type or the field that this estimate does not know.
    """
    model_type = str(fields.get("model_type"))
    if model_type not in DENSE:
        raise ValueError(f"model_type {model_type!r} is not one of {', '.join(DENSE)}: no memory estimate")
    try:
        heads = int(fields["num_attention_heads"])
        return Shape(
            model_type=model_type,
            layers=int(fields["num_hidden_layers"]),
            hidden=int(fields["hidden_size"]),
            intermediate=int(fields["intermediate_size"]),
            heads=heads,
            kv_heads=int(fields.get("num_key_value_heads") or heads),
            head_dim=int(fields.get("head_dim") or int(fields["hidden_size"]) // heads),
            vocab=int(fields["vocab_size"]),
            tied=bool(fields.get("tie_word_embeddings", False)),
            max_positions=int(fields["max_position_embeddings"]),
        )
    except KeyError as error:
        raise ValueError(f"config.json has no {error}: no memory estimate") from None


def find_config(model: str) -> tuple[dict[str, Any] | None, str]:
    """(fields of ``config.json``, where they are from) of a folder or hub id; (None, why) where nothing is known.

    Nothing is downloaded: a hub id is looked up in the local cache, then in :data:`KNOWN`.
    """
    if Path(model).is_dir():
        return json.loads((Path(model) / "config.json").read_text()), f"{model}/config.json"
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model, "config.json")
    if isinstance(cached, str):
        return json.loads(Path(cached).read_text()), cached
    if model in KNOWN:
        return KNOWN[model], "rlvr/launch/shapes.py (not in the cache of this machine: a run downloads it)"
    return None, f"{model} is not in the cache of this machine and not in rlvr/launch/shapes.py: a run downloads it"
