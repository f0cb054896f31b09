"""A name that the package does not have."""

from pagerace.lang import Struct, protocol, thred, u8


class Page(Struct):
    mapcount: u8


page = Page()
thread = thred


def unmap() -> None:
    page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
