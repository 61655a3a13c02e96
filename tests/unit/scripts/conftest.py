"""Scripts are commands, not a package: how a test gets at what is in one."""

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.fixture
def script(monkeypatch) -> Callable[[str], ModuleType]:
    """``script("quickstart")``: the module ``scripts/quickstart.py``, which may import others beside it."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module
