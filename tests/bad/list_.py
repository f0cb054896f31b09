"""A list in a function."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    order = [1, 2, 3]
    for value in order:
        page.mapcount = value


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
