"""A loop in which nobody else can run."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    count: u8 = 0
    while count < 10:
        pass
    page.mapcount = count


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
