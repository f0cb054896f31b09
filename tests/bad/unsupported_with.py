"""A file, where only sections of the model can be."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    with open("log") as file:
        page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
