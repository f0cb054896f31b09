"""A property that asks for the current thread."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import per_thread


class Walk(Struct):
    address: u8


walks = per_thread(Walk)


def unmap() -> None:
    walks.current.address = page.mapcount


def at_zero() -> bool:
    return walks.current.address == 0


claim = protocol(threads=[thread(unmap, cpu=0)], at_end=[at_zero])
