"""Random models of real shapes, a tokenizer that fills their vocabulary, and questions.

verl masks ids from ``len(tokenizer)`` on in vLLM and not in the actor, which with a smaller tokenizer looks like a huge difference
of log-probs. The row of the end token is scaled, so that answers end at different lengths. The reward is a hash of the answer.
"""

import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from rlvr.operate.gpu_check import Context, Load, Shape

PAD, END = "<|endoftext|>", "<|im_end|>"
LOGIT_STD = 1.5
END_SCALE = 3.5  # about one context in two hundred then ends there
SOURCE = "own/gpu_check"  # graded as mathematics by the evaluation


def compute_score(data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None) -> dict[str, float]:
    """A reward that is right for about half of all answers and the same for the same answer."""
    right = float(zlib.crc32(solution_str.encode()) & 1)
    return {"score": right, "acc": right}


def tokenizer(vocabulary: int) -> Any:
    """As many tokens as the model has rows: the bytes, two special ones, and words that only decoding meets."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [PAD, END, *letters]
    words += [f"w{number}" for number in range(vocabulary - len(words))]
    made = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (PAD, END)])
    fast = PreTrainedTokenizerFast(tokenizer_object=made, pad_token=PAD, eos_token=END)
    if len(fast) != vocabulary:
        raise ValueError(f"the tokenizer has {len(fast)} tokens, the model {vocabulary}")
    return fast


def model_config(shape: Shape, model_type: str = "qwen2") -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(
        model_type,
        architectures=[{"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama"}[model_type] + "ForCausalLM"],
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.hidden // shape.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=None,
        pad_token_id=0,
        eos_token_id=1,
    )


def random_model(shape: Shape, device: str, model_type: str = "qwen2") -> Any:
    """bf16 on a GPU, float32 on the CPU; the same on the same device for the same shape."""
    from transformers import AutoModelForCausalLM

    config = model_config(shape, model_type)
    torch.manual_seed(0)
    with torch.device(device):
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    head = model.get_output_embeddings().weight
    with torch.no_grad():
        torch.nn.init.normal_(head, std=LOGIT_STD / shape.hidden**0.5)
        head[config.eos_token_id].mul_(END_SCALE)
    return model.eval()


def make_model(context: Context, shape: Shape) -> Path:
    """The folder of a model; made once."""
    folder = context.folder / f"model-{shape.hidden}x{shape.layers}"
    if not (folder / "config.json").is_file():
        unfinished = folder.with_suffix(".unfinished")
        model = random_model(shape, context.device)
        model.save_pretrained(unfinished)
        tokenizer(shape.vocabulary).save_pretrained(unfinished)
        unfinished.rename(folder)
    return folder


def make_questions(context: Context, load: Load) -> Path:
    """As many as a few steps take."""
    file = context.folder / f"questions-{load.questions}.parquet"
    if not file.is_file():
        rows = [
            {
                "data_source": SOURCE,
                "prompt": [{"role": "user", "content": f"{number} + {number * number} ="}],
                "reward_model": {"ground_truth": str(number + number * number), "style": "rule"},
                "extra_info": {"index": number},
            }
            for number in range(4 * load.questions)
        ]
        pd.DataFrame(rows).to_parquet(file)
    return file
