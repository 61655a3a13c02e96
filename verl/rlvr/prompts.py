r"""Prompt templates by name (``data.prompt_template_type``), shared by training and evaluation.

Literal strings, not the tokenizer's chat template: Qwen2.5-Math's own, for one, has another system prompt. In training they
reach verl as a Jinja chat template (``chat_template``), in evaluation as text (``render``); both come from one string.
"""

import json
import re

from rlvr.hub import unknown_tokens

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
PROBLEM = "{problem}"

TEMPLATES: dict[str, str] = {
    "qwen": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{PROBLEM}\n{BOXED}<|im_end|>\n<|im_start|>assistant\n"
    ),
    "qwen3_no_thinking": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{PROBLEM}\n{BOXED}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n"
    ),
    "llama": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant.<|eot_id|>"
        f"<|start_header_id|>user<|end_header_id|>\n\n{PROBLEM}\n{BOXED}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    # SmolLM2-Instruct's own chat template, with its default system prompt
    "smollm2": (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        f"<|im_start|>user\n{PROBLEM}\n{BOXED}<|im_end|>\n<|im_start|>assistant\n"
    ),
    # The same for short answers: with the instruction to reason, a model of this size repeats it, an empty box included
    "smollm2_brief": (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        f"<|im_start|>user\n{PROBLEM}\nBe brief and put the final answer within \\boxed{{}}.<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "simple": f"Question:\n{PROBLEM}\nAnswer:\nLet's think step by step.\n",
    "countdown": f"<q>{PROBLEM}<a>",  # the tiny model's
}


def render(template_type: str, problem: str) -> str:
    """The prompt's text.

    Raises:
        KeyError: if the template is unknown.
    """
    before, after = TEMPLATES[template_type].split(PROBLEM)
    return before + problem + after


def chat_template(template_type: str) -> str:
    """The template as a Jinja chat template: the last message's content is the problem.

    Raises:
        KeyError: if the template is unknown.
    """
    before, after = (json.dumps(part) for part in TEMPLATES[template_type].split(PROBLEM))
    return f"{{{{ {before} }}}}{{{{ messages[-1]['content'] }}}}{{% if add_generation_prompt %}}{{{{ {after} }}}}{{% endif %}}"


def foreign_markers(template_type: str, model: str) -> str | None:
    """One line if marks of the template, such as ``<|im_start|>``, are no tokens of the model's: then it is another model's.

    None where the model is not on this machine.

    Raises:
        KeyError: if the template is unknown.
    """
    marks = dict.fromkeys(re.findall(r"<\|[^<>|]+\|>|</?[a-z]+>", TEMPLATES[template_type]))
    foreign = unknown_tokens(list(marks), model)
    if not foreign:
        return None
    return (
        f"prompt template {template_type}: {', '.join(foreign)} {'is no token' if len(foreign) == 1 else 'are no tokens'} of "
        f"{model}: it is another model's template"
    )
