"""Names of models: a folder of this machine, or an id of the Hugging Face hub; and the tokenizers of those that are here.

What needs no more than a vocabulary reads ``tokenizer.json``: transformers takes seconds to import.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any


def may_be_hub_id(name: str) -> bool:
    """Whether ``name``, which is on no disk here, has the form OWNER/MODEL, and OWNER is no folder."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).parent.exists()


@lru_cache(maxsize=4)
def local_tokenizer(path: str, trust_remote_code: bool = False) -> Any | None:
    """From a folder, or from what was downloaded before; None where there is none. Nothing is fetched."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, LookupError, AttributeError, TypeError, ImportError):  # said where a model is checked
        return None


def unknown_tokens(texts: list[str], path: str) -> list[str]:
    """Those of ``texts`` that are no token of a model; none where its ``tokenizer.json`` is not on this machine."""
    from tokenizers import Tokenizer

    file = Path(path) / "tokenizer.json" if Path(path).is_dir() else _cached(path, "tokenizer.json")
    if file is None or not file.is_file():
        return []
    vocabulary = Tokenizer.from_file(str(file))
    return [text for text in texts if vocabulary.token_to_id(text) is None]


def _cached(model: str, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, name)
    except HFValidationError:  # a path that is not here
        return None
    return Path(found) if isinstance(found, str) else None
