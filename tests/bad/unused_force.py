"""An edit of a condition that is not there."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import force, mutant


def unmap() -> None:
    if page.dirty:
        page.mapcount = 0


def unmapped() -> bool:
    return True


claim = protocol(
    threads=[thread(unmap, cpu=0)],
    always=[unmapped],
    mutants={"always": mutant(force(unmap, "page.dirtied", True), killed_by=unmapped)},
)
