"""The expected violation is of no property of the claim."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import violates


def unmap() -> None:
    page.mapcount = 0


def unmapped() -> bool:
    return page.mapcount == 0


def clean() -> bool:
    return not page.dirty


claim = protocol(
    threads=[thread(unmap, cpu=0)], always=[unmapped], expect=violates(clean)
)
