"""Tokenizer of the tiny model: one token a number, an operator, a marker.

transformers ≥ 5 loads every ``qwen2`` checkpoint with its own byte-level tokenizer class, whatever the checkpoint says; added
tokens survive that, a custom pre-tokenizer does not. So the model is a character-level BPE without merges, and every token of
more than one character is an added token. ``\\n`` is in the vocabulary because verl's agent loop checks that it is one token.
"""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rlvr.tiny.task import MAX_VALUE, OPERATORS

PAD, EOS, QUESTION, ANSWER, UNKNOWN = "<pad>", "<eos>", "<q>", "<a>", "<unk>"
SPECIAL = [PAD, EOS, QUESTION, ANSWER, UNKNOWN]
WORDS = [*map(str, range(MAX_VALUE + 1)), *OPERATORS, *"=,()}", "->", "\\boxed{"]
NEWLINE = "Ċ"  # how byte-level BPE spells "\n"

CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<q>{{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %}<a>{{ m['content'] }}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A fast tokenizer whose ids do not depend on anything but this file."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *WORDS, NEWLINE])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    # Longest first: "12" must not be cut into "1" and "2".
    multi = sorted((word for word in WORDS if len(word) > 1), key=len, reverse=True)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in multi])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[QUESTION, ANSWER],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
