"""One verifier for all tests; its workers take seconds to start."""

import contextlib
import time

import pytest

from rlvr.verify import Verifier


@pytest.fixture(scope="session")
def verifier():
    made = Verifier(deadline=3.0)
    yield made
    made.close()


@pytest.fixture(scope="session")
def within():
    @contextlib.contextmanager
    def limit(seconds):
        started = time.monotonic()
        yield
        assert time.monotonic() - started < seconds

    return limit
