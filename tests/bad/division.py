"""A division with a fraction."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    page.mapcount = page.mapcount / 2


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
