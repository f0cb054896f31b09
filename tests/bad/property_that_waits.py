"""A property that waits."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


def unmap() -> None:
    page.mapcount = 0


def unmapped() -> bool:
    wait_until(page.mapcount == 0)
    return True


claim = protocol(threads=[thread(unmap, cpu=0)], always=[unmapped])
