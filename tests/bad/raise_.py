"""An exception is raised."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    if page.mapcount == 0:
        raise ValueError("not mapped")


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
