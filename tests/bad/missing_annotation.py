"""A parameter has no type."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def clear(value) -> None:
    page.mapcount = value


def unmap() -> None:
    clear(0)


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
