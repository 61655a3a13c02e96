"""The third layer: two expressions that our own grammar does not know, read and compared by math-verify.

Only ever called in a worker process (:mod:`rlvr.verify.worker`): it has no time limit of its own. Only math-verify's LaTeX
grammar is used; its plain-text extractor hands text to sympy's ``parse_expr``, which is Python's ``eval``.
"""

from math_verify import LatexExtractionConfig, parse, verify

ROUNDING = 15  # digits; math-verify's own 6 would take 0.333333 for a third
PRECISION = 40

CONFIG = [LatexExtractionConfig(boxed_match_priority=-1)]


def symbolic(gold: str, prediction: str) -> bool:
    """Whether math-verify parses both and finds them equal."""
    parsed = [
        parse(f"${text}$", CONFIG, fallback_mode="no_fallback", parsing_timeout=None) for text in (gold, prediction)
    ]
    return all(parsed) and verify(
        *parsed, float_rounding=ROUNDING, numeric_precision=PRECISION, timeout_seconds=None, raise_on_error=True
    )
