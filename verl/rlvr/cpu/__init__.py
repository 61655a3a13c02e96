"""The CPU as a device of verl and vLLM, chosen explicitly with ``VERL_PLATFORM=cpu``.

Nothing in this package is active otherwise: on a GPU machine it is not even imported. The choice is never made automatically,
because the head node of a GPU cluster may have no GPU.
"""

import os


def chosen() -> bool:
    """True where the environment selects the CPU platform."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"
