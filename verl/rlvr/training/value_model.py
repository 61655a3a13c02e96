"""The critic's model with the attention that the configuration chooses; verl asks for the flash-attn package whatever it says.

Deliberately left out: critics made by TRL, which verl falls back to; transformers has a token-classification model for every model
of :mod:`rlvr.launch.shapes`. Installed by :mod:`rlvr.plugin`.
"""

from typing import Any

import torch


def load_value_model(local_path: str, torch_dtype: torch.dtype, model_config: Any, trust_remote_code: bool) -> Any:
    """A transformers ``…ForTokenClassification`` model with one label, as upstream's ``load_valuehead_model`` returns.

    Args:
        local_path: the model's folder.
        torch_dtype: of its parameters.
        model_config: transformers' configuration; its attention comes from ``critic.model.override_config.attn_implementation``.
        trust_remote_code: as transformers means it.
    """
    from transformers import AutoModelForTokenClassification

    return AutoModelForTokenClassification.from_pretrained(
        local_path,
        dtype=torch_dtype,
        config=model_config,
        attn_implementation=model_config._attn_implementation,
        trust_remote_code=trust_remote_code,
    )
