"""A call with a keyword that is not there."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def set_pte(target: Page, value: u8) -> None:
    target.mapcount = value


def unmap() -> None:
    set_pte(page, valeu=1)


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
