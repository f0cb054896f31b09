"""Small protocols, each with one fault that a detector must find by itself."""

from __future__ import annotations

from pagerace.lang import (
    Array,
    Config,
    Struct,
    array,
    atomic,
    bug_on,
    pool,
    protocol,
    thread,
    u8,
    violates,
    wait_until,
)


class Page(Struct):
    value: u8
    next: Page | None


class Slot(Struct):
    page: Page | None
    flag: bool
    other: bool
    count: u8
    words: Array[u8] = array(3)


class Fault(Config):
    """Which fault is present; all of them off: the protocol holds."""

    keep: bool = False
    twice: bool = False


pages = pool(Page, 2)
slot = Slot()


def publish() -> None:
    page = pages.alloc()
    assert page is not None
    page.value = 7
    slot.page = page


def consume() -> None:
    wait_until(slot.page is not None)
    page = slot.page
    assert page is not None
    slot.page = None
    if not Fault.keep:
        pages.free(page)
    if Fault.twice:
        pages.free(page)


def look() -> None:
    page = slot.page
    if page is not None:
        slot.count = page.value


def follow() -> None:
    slot.page = None
    slot.count = slot.page.value  # pyright: ignore


def wait_for_other() -> None:
    wait_until(slot.flag)
    slot.other = True


def wait_for_flag() -> None:
    wait_until(slot.other)
    slot.flag = True


def index() -> None:
    slot.words[slot.count] = 1


def count() -> None:
    slot.count += 1


def divide() -> None:
    slot.count = 8 // slot.count


def spin() -> None:
    with atomic():
        while slot.count < 9:
            pass


def below() -> None:
    with atomic():
        bug_on(slot.count == 0, "counter-below-zero")
        slot.count -= 1


def impossible() -> None:
    slot.count = 1
    with atomic():
        slot.count = 2
        assert slot.page is not None  # nobody ever sets it: this is known beforehand


class Latch(Struct):
    held: bool


class Table(Struct):
    latch: Latch


class Frame(Struct):
    latch: Latch


class Hint(Struct):
    latch: Latch | None


tables = pool(Table, 1)
frames = pool(Frame, 1)
hint = Hint()


def hint_setup() -> None:
    tables.alloc()
    frames.alloc()


def choose_latch() -> None:
    hint.latch = tables[0].latch
    hint.latch = frames[0].latch


def free_frame() -> None:
    frames.free(frames[0])


def free_table() -> None:
    tables.free(tables[0])


def use_latch() -> None:
    latch = hint.latch
    if latch is not None:
        latch.held = True


clean = protocol(threads=[thread(publish), thread(consume)])
leak = clean.replace(config=[Fault(keep=True)], expect=violates("leak"))
double_free = clean.replace(config=[Fault(twice=True)], expect=violates("double-free"))
use_after_free = protocol(
    threads=[thread(publish), thread(consume), thread(look)], expect=violates("use-after-free")
)
null_dereference = protocol(threads=[thread(follow)], expect=violates("null-dereference"))
deadlock = protocol(
    threads=[thread(wait_for_other), thread(wait_for_flag)], expect=violates("deadlock")
)
index_out_of_range = protocol(
    threads=[thread(index), thread(count), thread(count), thread(count)],
    expect=violates("index-out-of-range"),
)
division_by_zero = protocol(threads=[thread(divide)], expect=violates("division-by-zero"))
counter_below_zero = protocol(
    threads=[thread(below), thread(count)], expect=violates("counter-below-zero")
)
endless_loop = protocol(threads=[thread(count), thread(spin)], expect=violates("endless-loop"))
surely = protocol(threads=[thread(impossible)], expect=violates("assert"))
frame_gone = protocol(
    threads=[thread(choose_latch), thread(free_frame), thread(use_latch)],
    setup=hint_setup,
    expect=violates("use-after-free"),
)
table_gone = frame_gone.replace(
    threads=[thread(choose_latch), thread(free_table), thread(use_latch)]
)
both_gone = frame_gone.replace(
    threads=[thread(choose_latch), thread(free_frame), thread(free_table), thread(use_latch)]
)
