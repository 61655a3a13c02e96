"""One verifier for all tests; its workers take seconds to start."""

import pytest

from rlvr.verify import Verifier


@pytest.fixture(scope="session")
def verifier():
    made = Verifier(deadline=60.0)  # on a busy machine too, nothing that has an end comes to it
    yield made
    made.close()
