"""A response is read, never run: what would leave a trace when evaluated leaves none, in any layer."""

import pytest

from rlvr.verify import Verifier
from rlvr.verify.symbolic import symbolic

# A number that is in no path: pytest counts its folders, and the last number of a response may be its answer.
GOLDS = ["7654321", r"\frac{1}{2}", "x^2", "(1,2)", r"\text{Friday}", r"\sum_{k=1}^n k", r"\int_0^1 x dx"]


def payloads(trace):
    call = f"__import__('pathlib').Path('{trace}').touch()"
    yield from (call, f'exec("{call}")', f'eval("{call}")', f"[{call}]", f"({call}, 2)", f"{{{call}}}", f"x={call}")
    yield from (
        f"1+{call}",
        f"\\text{{{call}}}",
        f"\\sin({call})",
        f"\\frac{{{call}}}{{2}}",
        f"lambda: {call}",
        f"f'{{{call}}}'",
    )
    yield from (
        f"`touch {trace}`",
        f"$(touch {trace})",
        f"; touch {trace}",
        f"\\input{{{trace}}}",
        f"\\write18{{touch {trace}}}",
    )
    yield f"().__class__.__base__.__subclasses__()[0].__init__.__globals__['__builtins__']['open']('{trace}','w')"
    yield f"(lambda: open('{trace}', 'w').close())()"


def test_code_leaves_no_trace(verifier, tmp_path):
    trace = tmp_path / "trace"
    for payload in payloads(trace):
        for gold in GOLDS:
            for text in (payload, f"\\boxed{{{payload}}}", f"The answer is {payload}"):
                assert not verifier.verify(text, gold).correct
                assert not verifier.compare(text, gold).correct
    assert not trace.exists()


def test_nor_in_the_symbolic_layer_itself(tmp_path):
    trace = tmp_path / "trace"
    for payload in payloads(trace):
        for gold in GOLDS:
            try:
                assert not symbolic(gold, payload)
            except Exception as error:  # noqa: BLE001  (its worker counts these)
                assert not isinstance(error, AssertionError)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["verl", "ray", "torch", "vllm", "sympy"])
def test_what_is_not_imported(name):
    import subprocess
    import sys

    code = f"import sys, rlvr.verify, rlvr.verify.__main__; sys.exit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_self_test_refuses_a_broken_grader(monkeypatch):
    from rlvr.verify import SelfTestFailed, verifier

    monkeypatch.setattr(verifier, "decide", lambda *_: (False, "string"))
    with pytest.raises(SelfTestFailed):
        Verifier()
