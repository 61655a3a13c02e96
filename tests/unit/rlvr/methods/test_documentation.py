"""The table of the methods in the documents, and the launchers, say what the registry says."""

import pytest

from rlvr.methods import METHODS
from rlvr.methods.__main__ import table
from tests.conftest import ROOT


@pytest.mark.parametrize("document", ["README.md", "docs/methods.md"])
def test_the_table_is_the_registrys(document):
    assert table() in (ROOT / document).read_text(), f"put the output of `python -m rlvr.methods` into {document}"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_is_the_file_of_its_name_and_names_its_source(name):
    method = METHODS[name]
    assert method.__module__ == f"rlvr.methods.{name}"
    docstring = __import__(method.__module__, fromlist=["_"]).__doc__
    assert f"arxiv.org/abs/{method.paper}" in docstring


def test_every_launcher_takes_any_method():
    launchers = sorted(ROOT.glob("run_*_psr_nsr.sh"))
    assert launchers
    for launcher in launchers:
        text = launcher.read_text()
        assert "\nadvantage=negative" in text and "algorithm.advantage=$advantage" in text, launcher
        assert "docs/methods.md" in text, launcher
