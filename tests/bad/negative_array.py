"""An array of negative length."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import Array, array


class Table(Struct):
    pte: Array[u8] = array(-1)


table = Table()


def unmap() -> None:
    table.pte[0] = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
