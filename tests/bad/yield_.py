"""A generator."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from collections.abc import Iterator


def unmap() -> Iterator[None]:
    page.mapcount -= 1
    yield
    page.dirty = False


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
