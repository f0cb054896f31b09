"""An array whose length nobody says."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import Array


class Table(Struct):
    pte: Array[u8]


table = Table()


def unmap() -> None:
    table.pte[0] = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
