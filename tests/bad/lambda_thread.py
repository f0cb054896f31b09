"""A thread that is a lambda."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def clear(target: Page) -> None:
    target.mapcount = 0


claim = protocol(threads=[thread(lambda: clear(page), cpu=0)])
