"""Two enums compared."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from enum import Enum


class Colour(Enum):
    FREE = 0
    TABLE = 1


class State(Enum):
    IDLE = 0
    BUSY = 1


class Frame(Struct):
    colour: Colour


frame = Frame()


def unmap() -> None:
    if frame.colour == State.IDLE:
        page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
