"""A module's plain number, read as if it were shared."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


count = 0


def bump() -> None:
    count += 1


def unmap() -> None:
    bump()
    page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
