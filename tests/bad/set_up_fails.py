"""The set-up fails an assertion."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def setup() -> None:
    assert page.dirty, "the page starts dirty"


def unmap() -> None:
    page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0)], setup=setup)
