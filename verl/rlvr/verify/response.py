"""The part of a response in which an answer may be: without special tokens, after the thought, up to the end of the turn.

Models that think answer after their thought: a box inside it is a guess, and a thought that was cut off has no answer at all.
Deliberately left out: what the answer is (:mod:`rlvr.verify.extract`).
"""

import re

# After one of these the turn is over; what a base model writes then is another conversation.
END = re.compile(
    r"<\|(?:im_end|eot_id|endoftext|end_of_text|end|return|eom_id|endofturn|eos)\|>|<｜end▁of▁sentence｜>|</s>|<eos>|<end_of_turn>"
    r"|<\|(?:im_start|start_header_id)\|>\s*(?:user|system)|<｜User｜>|<start_of_turn>\s*user"
)
LEADING = re.compile(
    r"\s*(?:<\|begin_of_text\|>|<s>|<bos>|<｜begin▁of▁sentence｜>|<\|im_start\|>\s*(?:assistant)?|<start_of_turn>\s*(?:model)?"
    r"|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|<｜Assistant｜>|<\|assistant\|>|<\|start\|>\s*assistant)"
)
TOKEN = re.compile(r"<\|[A-Za-z0-9_▁ ]{1,40}\|>|<｜[^｜<>]{1,40}｜>|</?s>|<(?:pad|unk|bos|eos)>")
# gpt-oss: the last channel named final is the answer.
CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)\s*<\|message\|>")
THOUGHTS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
)


def answering_part(response: str) -> str:
    """What a response says after thinking; empty where the thought was never finished."""
    while leading := LEADING.match(response):
        response = response[leading.end() :]
    if channels := list(CHANNEL.finditer(response)):
        if channels[-1][1] != "final":
            return ""
        response = response[channels[-1].end() :]
    for opening, closing in THOUGHTS:
        if closing in response:
            response = response.rpartition(closing)[2]
        if opening in response:
            return ""
    end = END.search(response)
    if end:
        response = response[: end.start()]
    return TOKEN.sub(" ", response)
