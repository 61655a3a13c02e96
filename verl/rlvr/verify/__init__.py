"""Is this answer right? One interface for training rewards and evaluation; imports neither verl, ray, torch nor vllm.

from rlvr.verify import Verifier
Verifier().verify("… so it is \\\\boxed{0.5}.", "\\\\frac{1}{2}").correct

python -m rlvr.verify --input FILE --output FILE [--workers N] [--deadline S]
"""

from rlvr.verify.policy import BOXED_ONLY, Policy, Stamp, stamp
from rlvr.verify.verdict import Kind, Verdict
from rlvr.verify.verifier import SelfTestFailed, Verifier
from rlvr.verify.verifiers import UnknownDataSource, averify, verifier_for, verify_batch

__all__ = [
    "BOXED_ONLY",
    "Kind",
    "Policy",
    "SelfTestFailed",
    "Stamp",
    "UnknownDataSource",
    "Verdict",
    "Verifier",
    "averify",
    "stamp",
    "verifier_for",
    "verify_batch",
]
