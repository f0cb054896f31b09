"""A property that returns a number."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    page.mapcount = 0


def unmapped() -> u8:
    return page.mapcount


claim = protocol(threads=[thread(unmap, cpu=0)], always=[unmapped])
