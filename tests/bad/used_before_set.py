"""A local that no path has set."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    if page.dirty:
        count = page.mapcount
    page.mapcount = count


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
