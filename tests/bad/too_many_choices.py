"""More choices in one step than there may be."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import choose


def unmap() -> None:
    with atomic():
        for _ in range(20):
            page.mapcount += choose(2)


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
