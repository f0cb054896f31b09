"""A dictionary in shared memory."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


class Tree(Struct):
    pages: dict[int, Page]


tree = Tree()


def unmap() -> None:
    tree.pages[0] = page


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
