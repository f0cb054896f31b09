"""The set-up waits for what nobody does."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def setup() -> None:
    wait_until(page.dirty)


def unmap() -> None:
    page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0)], setup=setup)
