"""A parameter whose default is an object."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def clear(target: Page = page, *, value: u8 = 0) -> None:
    target.mapcount = value


def unmap() -> None:
    clear(page, 1)


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
