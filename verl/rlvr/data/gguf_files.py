"""What a GGUF file holds of a model: its weights, its metadata and its tokenizer."""

import importlib.metadata
from pathlib import Path
from typing import Any

CONTROL = 3  # GGUF's token type of special tokens


def gguf_model(file: Path) -> Any:
    """The causal language model of ``file``, in float32."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM

    # Python 3.10 cannot tell transformers of which distribution the package is; then it asks the package, which has no version.
    if not hasattr(gguf, "__version__"):
        gguf.__version__ = importlib.metadata.version("gguf")  # type: ignore[attr-defined]
    return AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, gguf_file=file.name)


def gguf_fields(file: Path) -> dict[str, Any]:
    """The metadata of a GGUF file."""
    from gguf import GGUFReader

    return {name: field.contents() for name, field in GGUFReader(file).fields.items()}


def gguf_tokenizer(fields: dict[str, Any]) -> Any:
    """The byte-level BPE of the GGUF metadata.

    transformers' own conversion takes ``<|im_start|>`` for the end of an answer and does not cut numbers into digits, which this
    model was trained with (``tokenizer.ggml.pre`` is ``smollm``).
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer
