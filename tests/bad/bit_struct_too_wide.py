"""A bit structure wider than a word."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import BitStruct, u64


class Entry(BitStruct):
    present: bool = False
    pfn: u64 = 0


class Slot(Struct):
    entry: Entry


slot = Slot()


def unmap() -> None:
    slot.entry = Entry()


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
