"""The lock and the flags of a folio: include/linux/pagemap.h.

With them stands what of mm/filemap.c belongs to the same flags.
"""

from __future__ import annotations

from pagerace.lang import READ_ONCE, atomic, smp_store_release, wait_until
from pagerace.machine.memory import ulong
from pagerace.mm.lockdep import LockClass, lock_acquire, lock_acquired, lock_release
from pagerace.mm.mm_types import address_space, folio, page_folio
from pagerace.mm.page_flags import folio_try_get
from pagerace.mm.sched import might_sleep
from pagerace.mm.swap import folio_put


def filemap_get_folio(mapping: address_space, index: ulong) -> folio | None:
    """filemap_get_folio() of include/linux/pagemap.h: with a reference, or None.

    mapping_get_entry(): the folio may be freed, and be another page by then, before the
    reference is there; so it is looked up again.  Each look is xas_load(), which is
    rcu_dereference().
    """
    while True:
        folio = READ_ONCE(mapping.i_pages[index])
        if folio is None:
            return None
        if folio_try_get(folio):
            if READ_ONCE(mapping.i_pages[index]) is folio:
                return folio
            folio_put(folio)


def folio_lock(folio: folio) -> None:
    """folio_lock() of include/linux/pagemap.h: sleep until the lock is ours."""
    might_sleep()
    lock_acquire(LockClass.FOLIO_LOCK)
    with atomic():
        wait_until(not folio.PG_locked)
        folio.PG_locked = True


def folio_trylock(folio: folio) -> bool:
    """folio_trylock() of include/linux/pagemap.h: one atomic bit operation."""
    with atomic():
        taken = not folio.PG_locked
        folio.PG_locked = True
    if taken:
        lock_acquired(LockClass.FOLIO_LOCK)
    return taken


def folio_unlock(folio: folio) -> None:
    """folio_unlock() of mm/filemap.c."""
    lock_release(LockClass.FOLIO_LOCK)
    smp_store_release(folio.PG_locked, False)


def lock_page(page: folio) -> None:
    """lock_page() of include/linux/pagemap.h."""
    folio_lock(page_folio(page))


def unlock_page(page: folio) -> None:
    """unlock_page() of include/linux/pagemap.h."""
    folio_unlock(page_folio(page))


def folio_start_writeback(folio: folio) -> None:
    """folio_start_writeback() of include/linux/page-flags.h; the folio is locked."""
    with atomic():
        assert not folio.PG_writeback, "a folio under writeback is written again"
        folio.PG_writeback = True


def folio_end_writeback(folio: folio) -> None:
    """folio_end_writeback() of mm/filemap.c: the disk has it; wake who waits."""
    with atomic():
        assert folio.PG_writeback, "the end of a writeback that did not begin"
        folio.PG_writeback = False


def folio_wait_writeback(folio: folio) -> None:
    """folio_wait_writeback() of mm/page-writeback.c."""
    might_sleep()
    wait_until(not folio.PG_writeback)
