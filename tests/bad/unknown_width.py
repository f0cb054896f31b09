"""An integer of a width that there is not."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    count: u99 = 0
    page.mapcount = count


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
