from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel import deliver_interrupts, fresh_machine


@pytest.fixture(autouse=True)
def _machine() -> Iterator[None]:
    with fresh_machine():
        yield


@pytest.fixture(autouse=True)
def interrupts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The CPUs that were interrupted, in order."""
    return deliver_interrupts(monkeypatch)
