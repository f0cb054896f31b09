"""A line is indented too far."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    page.mapcount = 1
      page.dirty = True


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
