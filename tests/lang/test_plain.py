"""lang as plain Python: wrap-around, places, pools, parameters."""

from __future__ import annotations

import pytest

from pagerace.lang import (
    WRITE_ONCE,
    Array,
    BitStruct,
    Config,
    Struct,
    array,
    bound,
    choose,
    cmpxchg,
    per_thread,
    pool,
    s8,
    u4,
    u8,
    u16,
    wait_until,
    xchg,
)
from pagerace.lang.flow import WouldBlock, choosing
from pagerace.lang.structures import KernelPythonError


class Size(Config):
    slots: int = 2


class Flags(BitStruct):
    dirty: bool = False
    order: u4 = 0


class Page(Struct):
    count: u8
    flags: Flags
    next: Page | None
    words: Array[u8] = array(lambda: Size.slots)


def test_integers_wrap_around() -> None:
    assert u8(250) + 10 == 4
    assert 3 - u8(4) == 255
    assert s8(127) + 1 == -128
    assert u8(255) + u16(1) == 256
    assert ~u4(5) == 10


def test_fields_wrap_and_know_their_place() -> None:
    page = Page()
    page.count = 257
    assert page.count == 1
    WRITE_ONCE(page.count, 7)
    assert xchg(page.count, 9) == 7
    assert cmpxchg(page.count, 9, 2) == 9
    assert cmpxchg(page.count, 9, 3) == 2
    assert page.count == 2
    WRITE_ONCE(page.words[1], 300)
    assert list(page.words) == [0, 44]
    assert xchg(page.next, page) is None
    assert page.next is page
    with pytest.raises(KernelPythonError, match="must be a field"):
        WRITE_ONCE(5, 6)


def test_a_bit_struct_is_a_value() -> None:
    flags = Flags(order=3)
    assert flags.replace(dirty=True) == Flags(dirty=True, order=3) != flags
    with pytest.raises(AttributeError, match=r"use \.replace"):
        flags.dirty = True  # pyright: ignore


def test_pools_find_what_is_wrong() -> None:
    pages = pool(Page, 1)
    page = pages.alloc()
    assert page is pages[0]
    assert pages.alloc() is None
    pages.free(pages[0])
    with pytest.raises(KernelPythonError, match="double-free of Page 0"):
        pages.free(pages[0])
    with pytest.raises(KernelPythonError, match="index 1 outside a pool of 1"):
        pages[1]
    with pytest.raises(KernelPythonError, match="index 2 outside an array of 2"):
        Page().words[2] = 1


def test_parameters_are_bound_for_a_while() -> None:
    with bound(Size(slots=5)) as read:
        assert Size.slots == 5
        assert len(Page().words) == 5
        assert read == {(Size, "slots"): 5}
    assert Size.slots == 2


def test_waiting_and_choosing() -> None:
    wait_until(True)
    with pytest.raises(WouldBlock):
        wait_until(False)
    assert choose(3) == 0
    with choosing(lambda n: n - 1):
        assert choose(3) == 2


def test_a_thread_has_one_object() -> None:
    tasks = per_thread(Page)
    tasks.current.count += 1
    assert tasks.current.count == 1
