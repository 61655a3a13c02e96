"""How many prompts have more tokens than ``data.max_prompt_length``: verl leaves them out of the run and says so in its log alone.

Counted as verl's data set counts, with the model's tokenizer and the run's template. Most prompts need no counting, because no
text has more tokens than bytes. Deliberately left out: prompts with images, and models that are not on this machine.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError
from omegaconf import DictConfig, OmegaConf

from rlvr.data.questions import Question

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
    return tokenizer_of(str(model.get("tokenizer_path") or model.path), bool(model.get("trust_remote_code")))


@lru_cache(maxsize=4)
def tokenizer_of(path: str, trust_remote_code: bool) -> Any | None:
    """From a folder, or from what was downloaded before; nothing is fetched."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError):  # what is wrong with a folder is said by the check of the model
        return None
