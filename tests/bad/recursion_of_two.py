"""Two functions call one another."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def down() -> None:
    page.mapcount -= 1
    again()


def again() -> None:
    if page.mapcount != 0:
        down()


def unmap() -> None:
    down()


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
