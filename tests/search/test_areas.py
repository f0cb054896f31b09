"""Reserved memory."""

from __future__ import annotations

import ctypes

import pytest

from pagerace.search.areas import Area
from pagerace.search.bounds import resident_bytes


def test_reserved_is_not_used() -> None:
    before = resident_bytes()
    area = Area(1 << 36, "I", native=True)
    assert resident_bytes() - before < 1 << 20
    area.view[1 << 35] = 7
    assert ctypes.c_uint32.from_address(area.at(1 << 35)).value == 7
    assert area.view[5] == 0
    area.close()


def test_addresses_of_both_kinds() -> None:
    area = Area(4, "Q", native=False)
    area.at(2)[1] = 9
    assert list(area.view) == [0, 0, 0, 9]
    area.close()


def test_too_much() -> None:
    with pytest.raises(MemoryError, match="no address range of"):
        Area(1 << 60, "Q", native=True)
