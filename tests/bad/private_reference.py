"""A per-thread object shown to other threads."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import per_thread


class Walk(Struct):
    address: u8


class Shared(Struct):
    walk: Walk | None


walks = per_thread(Walk)
shared = Shared()


def unmap() -> None:
    shared.walk = walks.current


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
