"""A choice among none."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import choose


def unmap() -> None:
    page.mapcount = choose(0)


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
