"""An import in model code."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    import os

    page.mapcount = os.cpu_count()


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
