"""The second opinion: math-verify's yes and our numbers' yes, or it is no; None where math-verify cannot read one side."""

import pytest

from rlvr.verify import symbolic as module
from rlvr.verify.symbolic import symbolic

SQUARES = r"\sum_{k=1}^n k^2"


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        (SQUARES, r"\frac{n(n+1)(2n+1)}{6}", True),
        (SQUARES, r"\frac{n(n+1)}{2}", False),
        (r"\int_0^1 x^2\,dx", r"\frac13", True),
        (r"\int_0^1 x^2\,dx", r"\frac12", False),
        (r"\lim_{x\to 0}\frac{\sin x}{x}", "1", True),
        (r"\prod_{k=1}^{4} k", "24", True),
        (r"\prod_{k=1}^{4} k", "25", False),
    ],
)
def test_right_and_wrong(gold, answer, equal):
    assert symbolic(gold, answer) is equal


def test_one_yes_is_not_enough(monkeypatch):
    monkeypatch.setattr(module, "verify", lambda *_, **__: True)
    assert symbolic(SQUARES, r"\frac{n(n+1)(2n+1)}{6}") is True
    assert symbolic(SQUARES, r"\frac{n(n+1)}{2}") is False
    monkeypatch.setattr(module, "verify", lambda *_, **__: False)
    assert symbolic(SQUARES, r"\frac{n(n+1)(2n+1)}{6}") is False


def test_what_is_no_expression_has_no_verdict():
    assert symbolic(SQUARES, "x < 3") is None
    assert symbolic(SQUARES, "") is None
