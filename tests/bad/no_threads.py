"""A protocol with no threads."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    page.mapcount = 0


claim = protocol(threads=[])
