"""A parameter that the configuration does not have."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.machine.memory import Machine


def unmap() -> None:
    page.mapcount = 0


claim = protocol(threads=[thread(unmap, cpu=0)], config=[Machine(cpu=2)])
