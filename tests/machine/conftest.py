from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel import fresh_machine


@pytest.fixture(autouse=True)
def _machine() -> Iterator[None]:
    with fresh_machine():
        yield
