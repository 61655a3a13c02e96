"""Names of models: a folder of this machine, or an id of the Hugging Face hub."""

from pathlib import Path


def may_be_hub_id(name: str) -> bool:
    """Whether ``name``, which is on no disk here, has the form OWNER/MODEL, and OWNER is no folder."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).parent.exists()
