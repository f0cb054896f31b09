"""A decorator on a function of the model."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from functools import cache


@cache
def mapped() -> bool:
    return page.mapcount != 0


def unmap() -> None:
    if mapped():
        page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
