"""The delayed-rmap race of 2022, step for step as in delayed_rmap.pml.

kernel: mm/memory.c zap_pte_range(), mm/rmap.c folio_mkclean()
commit: 5df397dec7c4 ("mm: delay page_remove_rmap() until after the TLB has been flushed")
expect: early, unlocked_flush and unlocked_fault lose a write; late holds

Every ``d_step`` and every single statement of the Promela is one step here: one atomic
section, or one load.  The states correspond one to one:

* Promela clears a local by hand where it is dead; the compiler does so by itself.
* A Promela user with ``n == S`` waits at ``u0`` for ever, a valid end; here it has
  returned.  The ``false`` at the end of ``munmap`` and ``writeback`` is a return too.
* The monitor process never moves as long as the invariant holds.

README.md beside this file has Spin's state counts, which are the counts here too.
The protocols about mm/ proper are in ``pagerace.protocols``; this one is coarser and
says nothing that they do not say better.
"""

import enum

from pagerace.lang import (
    READ_ONCE,
    Array,
    BitStruct,
    Config,
    Struct,
    array,
    atomic,
    choose,
    pool,
    protocol,
    smp_processor_id,
    thread,
    u2,
    u4,
    violates,
    wait_until,
)
from pagerace.lang.protocol import HOLDS, Protocol


class Size(Config):
    """U, P, S and R of the Promela: threads that store, pages, stores each, write-backs.

    With one page the counts differ from Spin's: a choice among one is no step here.
    """

    users: int = 2
    pages: int = 2
    stores: int = 2
    rounds: int = 1


class Variant(Config):
    """VAR of the Promela.  The defaults are VAR 1, which Linux v6.2 has."""

    rmap_after_flush: bool = True  # VAR 0: no
    flush_under_lock: bool = True  # VAR 2: no
    fault_locks_folio: bool = True  # VAR 3: no


class Pte(BitStruct):
    """PV, PW and PD of the Promela: bits 0, 1 and 2."""

    present: bool = False
    writable: bool = False
    dirty: bool = False


class Page(Struct):
    """A page of the file, with the one PTE that maps it."""

    pte: Pte = Pte(present=True, writable=True)
    memory: u4 = 0  # how many stores the page has taken,
    disk: u4 = 0  # and how many of them are on disk
    dirty: bool = False
    locked: bool = False
    freed: bool = False
    mapped: bool = True  # rmap
    references: u2 = 2  # page cache and mapping


class Tlb(Struct):
    """The TLB of a CPU, with room for every page."""

    entry: Array[Pte] = array(lambda: Size.pages)


class Mm(Struct):
    """The one address space."""

    page_table_locked: bool = False


class Outcome(enum.Enum):
    """How an attempt to store ends."""

    STORED = enum.auto()
    RETRY = enum.auto()
    WRITE_PROTECTED = enum.auto()
    SIGSEGV = enum.auto()


pages = pool(Page, lambda: Size.pages)
tlbs = pool(Tlb, lambda: Size.users)
mm = Mm()


# -- threads that store ----------------------------------------------------------------


def user() -> None:
    """Store to any page, ``Size.stores`` times, unless the mapping is gone."""
    stores: u2 = 0
    while stores < Size.stores:
        page: u2 = choose(Size.pages)
        while True:
            outcome = store(page)
            if outcome == Outcome.STORED:
                break
            if outcome == Outcome.SIGSEGV:
                return
            if outcome == Outcome.WRITE_PROTECTED and not do_wp_page(page):
                return
        stores += 1


def store(page: u2) -> Outcome:
    """One attempt of this CPU: hit, dirty-bit walk, stale entry, fault or TLB fill."""
    with atomic():
        tlb = tlbs[smp_processor_id()]
        entry = tlb.entry[page]
        if not entry.present:
            if not pages[page].pte.present:
                return Outcome.SIGSEGV
            tlb.entry[page] = pages[page].pte
            return Outcome.RETRY
        if not entry.writable:
            tlb.entry[page] = Pte()
            return Outcome.WRITE_PROTECTED
        if not entry.dirty:
            if not pages[page].pte.writable:
                tlb.entry[page] = Pte()
                return Outcome.RETRY
            pages[page].pte = pages[page].pte.replace(dirty=True)
            tlb.entry[page] = entry.replace(dirty=True)
        assert not pages[page].freed
        pages[page].memory += 1
        return Outcome.STORED


def do_wp_page(page: u2) -> bool:
    """Make the PTE writable again.  False: it is gone."""
    if Variant.fault_locks_folio:
        lock_folio(page)
    else:
        READ_ONCE(pages[page].locked)  # the step stays, so that the sizes compare
    lock_page_table()
    with atomic():
        mm.page_table_locked = False
        if not pages[page].pte.present:
            unlock_folio_after_fault(page)
            return False
        pages[page].pte = pages[page].pte.replace(writable=True)
    with atomic():
        pages[page].dirty = True
        unlock_folio_after_fault(page)
    return True


def unlock_folio_after_fault(page: u2) -> None:
    """The fault path holds the folio lock, except in the variant that forgot it."""
    if Variant.fault_locks_folio:
        pages[page].locked = False


def lock_folio(page: u2) -> None:
    """Wait until the folio is unlocked and lock it, in one step."""
    with atomic():
        wait_until(not pages[page].locked)
        pages[page].locked = True


def lock_page_table() -> None:
    """Wait until the page table is unlocked and lock it, in one step."""
    with atomic():
        wait_until(not mm.page_table_locked)
        mm.page_table_locked = True


# -- munmap ----------------------------------------------------------------------------


def munmap() -> None:
    """zap_pte_range() of all pages, flush, and the drop of rmap in one of two places."""
    lock_page_table()
    for page in range(Size.pages):
        zap_pte(page)
    if not Variant.flush_under_lock:
        mm.page_table_locked = False
    for cpu in range(Size.users):
        with atomic():
            for page in range(Size.pages):
                tlbs[cpu].entry[page] = Pte()
    if Variant.rmap_after_flush:
        for page in range(Size.pages):
            pages[page].mapped = False
    if Variant.flush_under_lock:
        mm.page_table_locked = False
    for page in range(Size.pages):
        put_page(page)


def zap_pte(page: u2) -> None:
    """Clear the PTE, hand its dirty bit to the page; early: drop the rmap at once."""
    with atomic():
        dirty = pages[page].pte.dirty
        pages[page].pte = Pte()
    with atomic():
        if dirty or pages[page].dirty:
            pages[page].dirty = True
    if not Variant.rmap_after_flush:
        pages[page].mapped = False


def put_page(page: u2) -> None:
    """Drop the reference of the mapping; the last one frees the page."""
    with atomic():
        pages[page].references -= 1
        if pages[page].references == 0:
            pages[page].freed = True


# -- write-back ------------------------------------------------------------------------


def writeback() -> None:
    """Write every page, ``Size.rounds`` times, and reclaim what is clean and unmapped."""
    for _ in range(Size.rounds):
        for page in range(Size.pages):
            lock_folio(page)
            if pages[page].mapped:
                folio_mkclean(page)
            write_page(page)
            with atomic():
                pages[page].locked = False
                reclaim(page)


def folio_mkclean(page: u2) -> None:
    """Write-protect and clean the PTE, flush it from all TLBs, keep its dirty bit."""
    lock_page_table()
    with atomic():
        old = pages[page].pte
        protect = old.writable or old.dirty
        cleaned = old.dirty
        pages[page].pte = Pte(present=old.present)
    if protect:
        for cpu in range(Size.users):
            tlbs[cpu].entry[page] = Pte()
    mm.page_table_locked = False
    with atomic():
        if cleaned or pages[page].dirty:
            pages[page].dirty = True


def write_page(page: u2) -> None:
    """Take the dirty flag first, then write: a store in between sets the flag again."""
    with atomic():
        dirty = pages[page].dirty
        pages[page].dirty = False
    if dirty:
        with atomic():
            pages[page].disk = pages[page].memory


def reclaim(page: u2) -> None:
    """Free a page that is clean, unmapped and held by the page cache alone."""
    if not pages[page].dirty and not pages[page].mapped and pages[page].references == 1:
        pages[page].references = 0
        pages[page].freed = True


# -- the claim -------------------------------------------------------------------------


def no_lost_write() -> bool:
    """A page that differs from the disk is under write-back, dirty or still mapped."""
    for page in range(Size.pages):
        if not (
            pages[page].locked
            or pages[page].dirty
            or pages[page].pte != Pte()
            or in_some_tlb(page)
            or pages[page].memory == pages[page].disk
        ):
            return False
    return True


def in_some_tlb(page: u2) -> bool:
    """Does any CPU still hold a translation?"""
    for cpu in range(Size.users):
        if tlbs[cpu].entry[page] != Pte():
            return True
    return False


def claim(size: Size, variant: Variant) -> Protocol:
    """The protocol of one size and one variant."""
    return protocol(
        threads=[
            *(thread(user, cpu=cpu, name=f"user{cpu}") for cpu in range(size.users)),
            thread(munmap, cpu=size.users),
            thread(writeback, cpu=size.users + 1),
        ],
        always=[no_lost_write],
        config=[size, variant],
        expect=HOLDS if variant == Variant() else violates(no_lost_write),
        title="delayed rmap at the granularity of delayed_rmap.pml",
        kernel="mm/memory.c zap_pte_range()",
        commit="5df397dec7c4",
    )


SIZES = {
    "S": Size(users=2, pages=2, stores=2, rounds=1),
    "M": Size(users=2, pages=2, stores=3, rounds=1),
    "L": Size(users=3, pages=2, stores=2, rounds=1),
}
VARIANTS = (
    Variant(rmap_after_flush=False),
    Variant(),
    Variant(flush_under_lock=False),
    Variant(fault_locks_folio=False),
)
NAMES = ("early", "late", "unlocked_flush", "unlocked_fault")


def claims(size: str) -> tuple[Protocol, Protocol, Protocol, Protocol]:
    """VAR 0 to 3 of the Promela in one of the sizes "S", "M" and "L"."""
    early, late, flush, fault = (claim(SIZES[size], variant) for variant in VARIANTS)
    return early, late, flush, fault


early_S, late_S, unlocked_flush_S, unlocked_fault_S = claims("S")
early_M, late_M, unlocked_flush_M, unlocked_fault_M = claims("M")
early_L, late_L, unlocked_flush_L, unlocked_fault_L = claims("L")
