"""Gathering what an unmap has to flush and to free: mm/mmu_gather.c, asm-generic/tlb.h.

Four things have to happen to a file page whose dirty PTE was zapped: its dirty bit goes
to the folio, every TLB forgets it, its rmap entry goes, its reference goes.  The kernel
had, or was offered, these orders (``PTL`` marks where the page-table lock is dropped):

    V6_0                           dirty, rmap, flush, PTL, reference
    RFC_DIRTY_IN_GATHER            rmap, PTL, flush, dirty, reference
    RFC_DIRTY_IN_GATHER_RMAP_KEPT  PTL, flush, dirty, rmap, reference
    LATE_RMAP_UNLOCKED             dirty, PTL, flush, rmap, reference
    RFC_RMAP_AT_FREE               dirty, flush, PTL, rmap, reference
    UNFORCED_FLUSH                 dirty, rmap, PTL, flush, reference
    UNFORCED_FLUSH_RMAP_KEPT       dirty, PTL, flush, rmap, reference
    V6_2                           dirty, flush, rmap, PTL, reference
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from enum import Enum

from pagerace.lang import (
    Array,
    BitStruct,
    Config,
    Ref,
    Struct,
    array,
    atomic,
    choose,
    per_thread,
    u3,
    u16,
)
from pagerace.machine.arch import Arch
from pagerace.machine.memory import PAGE_SIZE, Machine, nr_t, pfn_t, ulong
from pagerace.machine.pgtable import page_table
from pagerace.machine.tables import page_tables, upper_table, upper_tables
from pagerace.mm.mm_inline import (
    FlushPending,
    Pending,
    dec_tlb_flush_pending,
    inc_tlb_flush_pending,
    mm_tlb_flush_nested,
    pte_table_flush_begin,
    pte_table_flush_end,
)
from pagerace.mm.mm_types import (
    folio,
    mm_struct,
    page_to_pfn,
    pfn_to_page,
    pmd_t,
    vm_area_struct,
)
from pagerace.mm.mmu_notifier import MmuNotifier, mmu_notifier_invalidate_range
from pagerace.mm.notes import note_delayed, note_flushed, note_undelayed
from pagerace.mm.page_writeback import set_page_dirty
from pagerace.mm.pgalloc import PteTables
from pagerace.mm.rcupdate import Rcu, __call_rcu, synchronize_rcu
from pagerace.mm.rmap import page_remove_rmap, page_zap_pte_rmap
from pagerace.mm.sched import Sched
from pagerace.mm.swap import put_page
from pagerace.mm.table_free import (
    __tlb_remove_table,
    encoded_table,
    head_of,
    tlb_remove_table_sync_one,
)
from pagerace.mm.tlb import flush_freed_tables, flush_tlb_mm_range


class Force(Enum):
    """When zap_pte_range() flushes for a page, and does not leave it to the gather's end.

    DIRTY: its PTE was dirty (v6.0).  DELAYED: its rmap waits for the flush (v6.2), which
    is the same where tlb_delay_rmap() is not always False.
    """

    NEVER = 0
    DELAYED = 1
    DIRTY = 2


class MmuGather(Config):
    """The order of the kernel, and sizes of the gather.

    ``delay_rmap``: a dirty file page keeps its rmap until the TLBs are flushed.
    ``rmap_at_free``: and until the page is freed, when the PTL is long dropped.
    ``force``: the pages that make zap_pte_range() flush.
    ``dirty_in_gather``: set_page_dirty() waits for the flush, which is not forced.
    ``flush_under_ptl``: zap_pte_range() holds the PTL until the TLBs are flushed.
    ``bundle``: pages in a batch (MMU_GATHER_BUNDLE, MAX_GATHER_BATCH).
    ``batches``: batches, the local one and MAX_GATHER_BATCH_COUNT more.
    ``table_batch``: page tables in the one batch of them (MAX_TABLE_BATCH).
    ``table_oom``: there may be no memory for that batch, and a table goes by itself.
    ``one_by_rcu``: then by call_rcu(), too, and not when all CPUs were interrupted
    (CONFIG_PT_RECLAIM, v6.14).
    """

    delay_rmap: bool = True
    rmap_at_free: bool = False
    force: Force = Force.DELAYED
    dirty_in_gather: bool = False
    flush_under_ptl: bool = True
    bundle: int = 2
    batches: int = 2
    table_batch: int = 1
    table_oom: bool = False
    one_by_rcu: bool = False


V6_0 = MmuGather(delay_rmap=False, force=Force.DIRTY)
RFC_DIRTY_IN_GATHER = MmuGather(delay_rmap=False, dirty_in_gather=True)
RFC_DIRTY_IN_GATHER_RMAP_KEPT = MmuGather(dirty_in_gather=True)
LATE_RMAP_UNLOCKED = MmuGather(flush_under_ptl=False)
RFC_RMAP_AT_FREE = MmuGather(rmap_at_free=True)
UNFORCED_FLUSH = MmuGather(delay_rmap=False, force=Force.NEVER)
UNFORCED_FLUSH_RMAP_KEPT = MmuGather(rmap_at_free=True, force=Force.NEVER)
# Linux kernel commit 5df397dec7c4 ("mm: delay page_remove_rmap() until after the TLB has
# been flushed") (in v6.2)
V6_2 = MmuGather()


class encoded_page(BitStruct):
    """struct encoded_page of include/linux/mm_types.h: a page and flags in one word.

    Linux kernel commit 70fb4fdff582 ("mm: introduce 'encoded' page pointers with
    embedded extra bits") (in v6.2).  ``delay_rmap``: TLB_ZAP_RMAP in the RFCs.
    ``dirty``: the flag of the one that was rejected.
    """

    pfn: pfn_t = 0
    delay_rmap: bool = False
    dirty: bool = False


class mmu_gather_batch(Struct):
    """struct mmu_gather_batch: pages whose references are to be dropped."""

    nr: nr_t
    encoded_pages: Array[encoded_page] = array(lambda: MmuGather.bundle)


class mmu_table_batch(Struct):
    """struct mmu_table_batch: page tables that are to be freed."""

    nr: u16
    tables: Array[encoded_table] = array(
        lambda: MmuGather.table_batch if PteTables.come_and_go else 1
    )


class mmu_gather(Struct):
    """struct mmu_gather, on the stack of who unmaps.

    ``start`` to ``end`` - 1 are the pages to flush, if ``cleared_ptes``.
    ``batch[0]`` is ``local``; ``active`` is the number of the batch that is filled.
    ``table``: that whose pending flush this gather has to do (a proposal).
    """

    mm: Ref[mm_struct]
    start: ulong
    end: ulong
    fullmm: bool
    cleared_ptes: bool
    freed_tables: bool
    delayed_rmap: bool
    active: nr_t
    table: pmd_t | None = None
    batch: Array[mmu_gather_batch] = array(lambda: MmuGather.batches)


gathers = per_thread(mmu_gather)
# ``tlb->batch`` of each gather; the kernel allocates it when the first table goes.
table_batches = per_thread(mmu_table_batch)


def tlb_gather_mmu(tlb: mmu_gather, mm: mm_struct) -> None:
    """tlb_gather_mmu(): begin to gather."""
    tlb.mm = mm
    tlb.fullmm = False
    tlb.delayed_rmap = False
    tlb.active = 0
    __tlb_reset_range(tlb)
    inc_tlb_flush_pending(mm)


def __tlb_reset_range(tlb: mmu_gather) -> None:
    """__tlb_reset_range() of include/asm-generic/tlb.h."""
    tlb.start = Machine.pages
    tlb.end = 0
    tlb.cleared_ptes = False
    if PteTables.come_and_go:
        tlb.freed_tables = False


def tlb_remove_tlb_entry(tlb: mmu_gather, address: ulong) -> None:
    """tlb_remove_tlb_entry() of include/asm-generic/tlb.h: only notes the range."""
    tlb.start = min(tlb.start, address)
    tlb.end = max(tlb.end, address + PAGE_SIZE)
    tlb.cleared_ptes = True


def tlb_flush_pte_range(tlb: mmu_gather, address: ulong, size: ulong) -> None:
    """tlb_flush_pte_range() of include/asm-generic/tlb.h: rights were taken away there."""
    tlb.start = min(tlb.start, address)
    tlb.end = max(tlb.end, address + size)
    tlb.cleared_ptes = True


def tlb_note_table(tlb: mmu_gather, pmd: pmd_t) -> None:
    """This gather has cleared an entry of the table; PTL held.  A proposal.

    A gather remembers one table: it has to flush before it goes on to another.
    """
    if FlushPending.mkclean is Pending.TABLE:
        assert tlb.table is None or tlb.table is pmd, "a gather remembers one table"
        if tlb.table is None:
            tlb.table = pmd
            pte_table_flush_begin(pmd)


def no_gather() -> bool:
    """MMU_GATHER_NO_GATHER of s390: a page that is unmapped has no stale entry to wait for."""
    return Machine.arch is Arch.S390


def tlb_delay_rmap(tlb: mmu_gather) -> bool:
    """tlb_delay_rmap() of include/asm-generic/tlb.h: False on UP and on s390.

    The RFC that removed rmaps when it freed the pages looked at each of them: it had no
    use for a flag of the whole gather.
    """
    if not MmuGather.delay_rmap or not Sched.smp or no_gather():
        return False
    tlb.delayed_rmap = not MmuGather.rmap_at_free
    return True


def zap_forces_flush(delay_rmap: bool) -> bool:
    """Has zap_pte_range() to flush because of a dirty page?"""
    return MmuGather.force is Force.DIRTY or (MmuGather.force is Force.DELAYED and delay_rmap)


def __tlb_remove_page(tlb: mmu_gather, page: folio, delay_rmap: bool, dirty: bool) -> bool:
    """__tlb_remove_page(): queue the page; True if there is no room for another.

    Linux kernel commit 7cc8f9c7146a ("mm: mmu_gather: prepare to gather encoded page
    pointers with flags") (in v6.2) gave it flags.
    """
    if no_gather():  # __tlb_remove_page_size() of arch/s390/include/asm/tlb.h
        put_page(page)
        return False
    batch = tlb.batch[tlb.active]
    batch.encoded_pages[batch.nr] = encoded_page(
        pfn=page_to_pfn(page), delay_rmap=delay_rmap, dirty=dirty
    )
    batch.nr += 1
    if delay_rmap:
        note_delayed(page_to_pfn(page), tlb.active)
    if batch.nr == MmuGather.bundle:
        return not tlb_next_batch(tlb)
    return False


def tlb_next_batch(tlb: mmu_gather) -> bool:
    """tlb_next_batch(): False if there is none, or delayed rmaps limit their number."""
    if tlb.delayed_rmap and tlb.active != 0:
        return False
    if tlb.active == MmuGather.batches - 1:
        return False
    tlb.active += 1
    return True


def tlb_flush_mmu_tlbonly(tlb: mmu_gather) -> None:
    """tlb_flush_mmu_tlbonly(): after it no TLB has what was gathered so far."""
    if not (tlb.cleared_ptes or (PteTables.come_and_go and tlb.freed_tables)):
        return
    flush_freed_tables(PteTables.come_and_go and tlb.freed_tables)
    flush_tlb_mm_range(tlb.mm, tlb.start, tlb.end)
    if MmuNotifier.on:
        mmu_notifier_invalidate_range(tlb.mm, tlb.start, tlb.end)
    flush_freed_tables(False)
    note_flushed(tlb.start, tlb.end)
    if tlb.table is not None:
        pte_table_flush_end(tlb.table)
        tlb.table = None
    __tlb_reset_range(tlb)


def tlb_flush_rmaps(tlb: mmu_gather, vma: vm_area_struct) -> None:
    """tlb_flush_rmaps(): remove the delayed rmaps; TLBs are flushed, PTL is held.

    Only the local and the active batch can have any: see tlb_next_batch().
    Linux kernel commit 5df397dec7c4 ("mm: delay page_remove_rmap() until after the TLB
    has been flushed") (in v6.2).
    """
    if not tlb.delayed_rmap:
        return
    tlb_flush_rmap_batch(tlb, 0, vma)
    if tlb.active != 0:
        tlb_flush_rmap_batch(tlb, tlb.active, vma)
    tlb.delayed_rmap = False


def tlb_flush_rmap_batch(tlb: mmu_gather, number: nr_t, vma: vm_area_struct) -> None:
    """tlb_flush_rmap_batch(), of batch ``number``."""
    batch = tlb.batch[number]
    for i in range(batch.nr):
        enc = batch.encoded_pages[i]
        if enc.delay_rmap:
            note_undelayed(enc.pfn, number)
            page_remove_rmap(pfn_to_page(enc.pfn), vma)


def tlb_flush_mmu(tlb: mmu_gather) -> None:
    """tlb_flush_mmu(): flush, then free what was gathered."""
    tlb_flush_mmu_tlbonly(tlb)
    tlb_flush_mmu_free(tlb)


def tlb_flush_mmu_free(tlb: mmu_gather) -> None:
    """tlb_flush_mmu_free(): what was gathered is freed, tables first."""
    if PteTables.come_and_go:
        tlb_table_flush(tlb)
    tlb_batch_pages_flush(tlb)


def pte_free_tlb(tlb: mmu_gather, table: page_table, address: ulong) -> None:
    """pte_free_tlb() of include/asm-generic/tlb.h: a table that nothing points to any more."""
    tlb_note_freed_table(tlb, address)
    tlb_remove_table(tlb, encoded_table(number=page_tables.index(table), level=1))


def pmd_free_tlb(tlb: mmu_gather, table: upper_table, address: ulong, level: u3) -> None:
    """pmd_free_tlb(), pud_free_tlb() and p4d_free_tlb(): tables above the PTEs are alike."""
    tlb_note_freed_table(tlb, address)
    tlb_remove_table(tlb, encoded_table(number=upper_tables.index(table), level=level))


def tlb_note_freed_table(tlb: mmu_gather, address: ulong) -> None:
    """tlb_flush_pmd_range() and ``tlb->freed_tables = 1``: walkers may know the way to it."""
    tlb.start = min(tlb.start, address)
    tlb.end = max(tlb.end, address + PAGE_SIZE)
    tlb.freed_tables = True


def tlb_remove_table(tlb: mmu_gather, table: encoded_table) -> None:
    """tlb_remove_table(): free the table later, or now if there is no room for another."""
    batch = table_batches.current
    if MmuGather.table_oom and batch.nr == 0:
        if choose(2) == 1:  # __get_free_page(GFP_NOWAIT) of the batch
            tlb_table_invalidate(tlb)
            tlb_remove_table_one(tlb, table)
            return
    batch.tables[batch.nr] = table
    batch.nr += 1
    if batch.nr == MmuGather.table_batch:
        tlb_table_flush(tlb)


def tlb_table_flush(tlb: mmu_gather) -> None:
    """tlb_table_flush(): no walker may know a table that is freed."""
    batch = table_batches.current
    if batch.nr != 0:
        tlb_table_invalidate(tlb)
        tlb_remove_table_free(tlb, batch)


def tlb_table_invalidate(tlb: mmu_gather) -> None:
    """tlb_table_invalidate(), where tlb_needs_table_invalidate()."""
    tlb_flush_mmu_tlbonly(tlb)


def tlb_remove_table_free(tlb: mmu_gather, batch: mmu_table_batch) -> None:
    """tlb_remove_table_free(): whoever walks a table without a lock has to be done.

    The kernel leaves that to call_rcu() and goes on, as Rcu.callbacks does; else the caller
    waits here.
    """
    if PteTables.rcu_free:
        if Rcu.callbacks and not Machine.full_size:
            call_rcu_batch(batch)
            return
        synchronize_rcu()
    for i in range(batch.nr):
        __tlb_remove_table(tlb.mm, batch.tables[i])
        batch.tables[i] = encoded_table()
    batch.nr = 0


def call_rcu_batch(batch: mmu_table_batch) -> None:
    """call_rcu(&batch->rcu, tlb_remove_table_rcu): one grace period for all tables of it."""
    with atomic():
        for i in range(batch.nr):
            __call_rcu(head_of(batch.tables[i]))
            batch.tables[i] = encoded_table()
        batch.nr = 0


def tlb_remove_table_one(tlb: mmu_gather, table: encoded_table) -> None:
    """tlb_remove_table_one(): a table that there is no batch for.

    Not before all CPUs have answered, for a walker without a lock has its interrupts off.
    """
    if not MmuGather.one_by_rcu:
        tlb_remove_table_sync_one()
        __tlb_remove_table(tlb.mm, table)
    elif Rcu.callbacks and not Machine.full_size:
        __call_rcu(head_of(table))
    else:
        synchronize_rcu()
        __tlb_remove_table(tlb.mm, table)


def tlb_batch_pages_flush(tlb: mmu_gather) -> None:
    """tlb_batch_pages_flush(): drop the references of all batches."""
    for number in range(MmuGather.batches):
        batch = tlb.batch[number]
        if MmuGather.dirty_in_gather or MmuGather.rmap_at_free:
            clean_and_free_pages_and_swap_cache(batch, number)
        free_pages_and_swap_cache(batch)
        empty(batch)
    tlb.active = 0


def clean_and_free_pages_and_swap_cache(batch: mmu_gather_batch, number: nr_t) -> None:
    """The RFCs: what the flags ask for is done once the TLBs are flushed, with no lock."""
    for i in range(batch.nr):
        enc = batch.encoded_pages[i]
        page = pfn_to_page(enc.pfn)
        if enc.dirty:
            set_page_dirty(page)
        if enc.delay_rmap:
            note_undelayed(enc.pfn, number)
            page_zap_pte_rmap(page)


def free_pages_and_swap_cache(batch: mmu_gather_batch) -> None:
    """free_pages_and_swap_cache() of mm/swap_state.c, with release_pages()."""
    for i in range(batch.nr):
        put_page(pfn_to_page(batch.encoded_pages[i].pfn))


def empty(batch: mmu_gather_batch) -> None:
    """There is room again, and what was there is no part of the state."""
    for i in range(batch.nr):
        batch.encoded_pages[i] = encoded_page()
    batch.nr = 0


def tlb_finish_mmu(tlb: mmu_gather) -> None:
    """tlb_finish_mmu(): flush and free what is left.

    Another thread may have cleared PTEs of the same mm whose flush is still to come: then
    the whole mm is flushed.
    """
    if mm_tlb_flush_nested(tlb.mm):
        tlb.start = 0
        tlb.end = Machine.pages
        tlb.cleared_ptes = True
    tlb_flush_mmu(tlb)
    dec_tlb_flush_pending(tlb.mm)
