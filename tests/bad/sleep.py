"""A call of a library."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


import time


def unmap() -> None:
    time.sleep(1)
    page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
