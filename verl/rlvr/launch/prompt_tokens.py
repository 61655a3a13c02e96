"""What the model's tokenizer makes of a run's prompts, looked at before it.

Prompts of more tokens than ``data.max_prompt_length`` verl leaves out and says so in its log alone. They are counted as its data
set counts; most need no counting, because no text has more tokens than bytes. And a template may be another model's
(:func:`rlvr.prompts.foreign_markers`). Deliberately left out: prompts with images, and models that are not on this machine.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from omegaconf import DictConfig, OmegaConf

from rlvr.data.questions import Question
from rlvr.hub import local_tokenizer
from rlvr.prompts import TEMPLATES, chat_template, foreign_markers

SPARE = 8  # tokens that are not of the text: a beginning, a space in front


def can_count(config: DictConfig) -> bool:
    """Whether the tokenizer is on this machine."""
    return _tokenizer(config) is not None


def too_long(config: DictConfig, questions: Sequence[Question]) -> int:
    """How many of the questions, as far as can be told: 0 without the tokenizer."""
    tokenizer, model = _tokenizer(config), config.actor_rollout_ref.model
    if tokenizer is None:
        return 0
    limit = int(config.data.max_prompt_length)
    given = OmegaConf.to_container(config.data.get("apply_chat_template_kwargs") or OmegaConf.create({}))
    settings = {"chat_template": model.get("custom_chat_template")} | dict(given)
    texts = list(rendered(tokenizer, questions, settings))
    candidates = [text for text in texts if text is not None and len(text.encode()) + SPARE > limit]
    counted = tokenizer(candidates, add_special_tokens=False)["input_ids"] if candidates else []
    return texts.count(None) + sum(len(tokens) > limit for tokens in counted)


def foreign_template(config: DictConfig) -> str | None:
    """What is wrong with the template, if it is one of ours and for another model."""
    template, model = config.data.prompt_template_type, config.actor_rollout_ref.model
    if template not in TEMPLATES or model.get("custom_chat_template") != chat_template(template):
        return None
    return foreign_markers(template, str(model.path))


def rendered(tokenizer: Any, questions: Sequence[Question], settings: Mapping[str, Any]) -> Iterator[str | None]:
    """The text of each prompt; None of one that the template refuses, which verl leaves out too."""
    settings = {"add_generation_prompt": True} | dict(settings) | {"tokenize": False, "return_dict": False}
    for question in questions:
        try:
            yield tokenizer.apply_chat_template([dict(message) for message in question.messages], **settings)
        except (TemplateError, ValueError, TypeError):
            yield None


def _tokenizer(config: DictConfig) -> Any | None:
    model = config.actor_rollout_ref.model
    return local_tokenizer(str(model.get("tokenizer_path") or model.path), bool(model.get("trust_remote_code")))
