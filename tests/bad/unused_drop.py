"""An edit of a call that is not there."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


from pagerace.lang import drop, mutant


def flush() -> None:
    page.dirty = False


def unmap() -> None:
    page.mapcount = 0


def unmapped() -> bool:
    return True


claim = protocol(
    threads=[thread(unmap, cpu=0)],
    always=[unmapped],
    mutants={"no_flush": mutant(drop(unmap, flush), killed_by=unmapped)},
)
