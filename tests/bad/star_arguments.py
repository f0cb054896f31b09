"""A function of any number of arguments."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def clear(*targets: Page) -> None:
    page.mapcount = 0


def unmap() -> None:
    clear(page)


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
