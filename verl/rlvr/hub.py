"""Names of models: a folder of this machine, or an id of the Hugging Face hub; and the tokenizers of those that are here."""

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
