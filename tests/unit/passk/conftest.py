"""One headless Chromium for all tests of pages."""

from collections.abc import Iterator

import pytest

from tests.unit.passk.browser import Browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("chromium"))
    yield one
    one.close()
