"""Two targets of one assignment."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    before = after = page.mapcount
    page.dirty = before == after


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
