"""A protocol with agents alone."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import agent


def walker() -> None:
    while True:
        page.dirty = True


claim = protocol(threads=[agent(walker, cpu=0)])
