"""A number where a reference is wanted."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


class Owner(Struct):
    page: Page | None


owner = Owner()


def unmap() -> None:
    owner.page = 1


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
