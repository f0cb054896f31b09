"""A callback with a parameter too few."""

from collections.abc import Callable

from pagerace.lang import Constants, Struct, protocol, thread, u8


class Page(Struct):
    dirty: bool
    mapcount: u8


class walk_ops(Constants):
    entry: Callable[[Page, u8], u8] | None = None
    depth: int = 1


page = Page()


def clean(page: Page, address: u8) -> u8:
    page.dirty = False
    return address


def forget(page: Page) -> u8:
    page.dirty = False
    return 0


FORGET = walk_ops(entry=forget)


def walk(page: Page, ops: walk_ops) -> None:
    if ops.entry is not None:
        page.mapcount = ops.entry(page, 0)


claim = protocol(threads=[thread(walk, page, FORGET, cpu=0)])
