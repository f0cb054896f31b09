"""A structure made while the model runs."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    other = Page()
    other.mapcount = 1


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
