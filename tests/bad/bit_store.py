"""A field of a bit structure is assigned."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import BitStruct


class pte_t(BitStruct):
    present: bool = False
    dirty: bool = False


class Slot(Struct):
    value: pte_t


slot = Slot()


def unmap() -> None:
    slot.value.dirty = True


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
