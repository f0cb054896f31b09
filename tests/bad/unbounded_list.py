"""State that can grow without bound."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


queue: list[int] = []


def unmap() -> None:
    queue.append(page.mapcount)


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
