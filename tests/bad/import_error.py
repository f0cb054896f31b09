"""A module that does not exist."""

import pagetables

from pagerace.lang import Struct, protocol, thread, u8


class Page(Struct):
    mapcount: u8


page = Page()


def unmap() -> None:
    page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
