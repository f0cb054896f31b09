"""An atomic operation on a value."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import xchg


def unmap() -> None:
    page.mapcount = xchg(page.mapcount + 1, 0)


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
