"""The structures of include/linux/mm_types.h and include/linux/fs.h.

``struct page`` and ``struct folio`` are one structure, of each page.  Fields that the checks
have no use for are left out: flags of ageing and of the LRU lists, rss counters, memory
cgroups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pagerace.lang import (
    Array,
    BitStruct,
    Config,
    Pool,
    Ref,
    Struct,
    array,
    pool,
    s8,
    sized,
    u1,
    u2,
    u4,
    u32,
)
from pagerace.machine.memory import (
    Machine,
    count_t,
    cpumask_t,
    file_pages,
    nr_t,
    pfn_t,
    ulong,
)
from pagerace.machine.pgtable import page_table, pte_slot, pte_t
from pagerace.machine.tables import (
    page_table_count,
    page_tables,
    pmd_pfn,
    pmd_t,
    pmdp_get,
    upper_table,
)
from pagerace.mm.atomic import atomic_t
from pagerace.mm.percpu_ref import percpu_ref
from pagerace.mm.rwsem import rw_semaphore
from pagerace.mm.spinlock import spinlock_t
from pagerace.mm.table_walk import table_lock_count, tables_have_counters_of_cpus

# How many flushes an mm has asked for.
if TYPE_CHECKING:
    tlb_gen_t: TypeAlias = int
else:
    tlb_gen_t = sized("tlb_gen_t", lambda: 64 if Machine.full_size else 3)

# How many invalidations secondary MMUs were told of, twice: odd while there is one.
if TYPE_CHECKING:
    notifier_seq_t: TypeAlias = int
else:
    notifier_seq_t = sized("notifier_seq_t", lambda: 64 if Machine.full_size else 4)

# vm_fault_t: how a fault ended.  0: the access is tried again.
vm_fault_t: TypeAlias = u4
VM_FAULT_NOPAGE = 1
VM_FAULT_LOCKED = 2
VM_FAULT_OOM = 4
VM_FAULT_FALLBACK = 8
# Flags of a fault.  Without it: a read.
FAULT_FLAG_WRITE = 1


# vm_flags_t: VM_READ and so on (mm/mman.py).  slot_t: a place among the VMAs of an mm.
vm_flags_t: TypeAlias = u32
if TYPE_CHECKING:
    slot_t: TypeAlias = int
else:
    slot_t = sized("slot_t", lambda: 32 if Machine.full_size else 4)


class Mm(Config):
    """Sizes of the kernel's structures.  ``vmas``: of one mm, and of one mapping.

    ``mms``: address spaces; ``files``: page caches; where protocols have none of their own.
    ``min_addr``: mmap_min_addr, the first page that is given to who asks for none.
    """

    min_addr: int = 0
    vmas: int = 1
    mms: int = 1
    files: int = 1


class Vma(Config):
    """``flags``: VMAs are of all kinds, are split and merged, and the system calls take any
    range.  Else each VMA is a shared writable mapping, of a file that is nowhere mapped
    otherwise, or where Anon.private is set of nothing; and calls are about whole VMAs.
    """

    flags: bool = False


class PageCache(Config):
    """What the page cache does, and what it has.

    ``read_later``: a folio is added to its file, locked, before it is read from disk, as
    the kernel does.  Else it is added when it has been read.
    ``large``: there are folios of more than one page.
    """

    read_later: bool = False
    large: bool = False


class Thp(Config):
    """Huge pages of anonymous memory: /sys/kernel/mm/transparent_hugepage, and their memory.

    They want Machine.huge_pages, PageCache.large and Vma.flags.

    ``anonymous``: ``enabled`` is "madvise": VMAs with VM_HUGEPAGE get them.
    ``always``: ``enabled`` is "always": all get them but those with VM_NOHUGEPAGE.
    ``zero_page``: ``use_zero_page``: what is only read shares one huge page of zeros.
    ``set_aside``: huge pages that the allocator keeps whole; it makes others of pages that
    come one after another.
    """

    anonymous: bool = False
    always: bool = False
    zero_page: bool = True
    set_aside: int = 0


class Reclaim(Config):
    """``lists``: pages of files are on LRU lists, and go when there is little memory."""

    lists: bool = False


class folio(Struct):
    """struct page and struct folio.  Each flag changes by an atomic bit operation.

    ``_mapcount`` counts the page-table entries that map the folio, from 0 and not from
    -1 as the kernel does.  ``anon_vma``: ``mapping`` of an anonymous page, which the kernel
    tells from one of a file by PAGE_MAPPING_ANON.  ``PG_anon_exclusive``: it is mapped once,
    and a write needs no copy.  ``order``: it has 2 to that power pages.  Those behind the
    first have only a ``compound_head``, and ``mapping`` and all else are the first's; but with
    Thp.anonymous each has a ``_mapcount``, of PTEs, and a PG_anon_exclusive.  Then the first's
    ``_entire_mapcount`` counts PMD entries, and the fields after it say who maps the folio how
    often (mm/rmap_large.py).
    ``lru_next``, ``lru_prev`` and the last four flags: see mm/lruvec.py.
    """

    PG_locked: bool
    PG_dirty: bool
    PG_writeback: bool
    PG_anon_exclusive: bool
    PG_uptodate: bool
    order: u4
    compound_head: folio | None = None
    mapping: address_space | None = None
    anon_vma: anon_vma_t | None = None
    index: ulong
    _refcount: atomic_t
    _mapcount: atomic_t
    _entire_mapcount: atomic_t
    _large_mapcount: count_t
    _mm_id: Array[mm_struct | None] = array(2)
    _mm_id_mapcount: Array[count_t] = array(2)
    _mm_ids_shared: bool
    lru_next: folio | None = None
    lru_prev: folio | None = None
    PG_lru: bool
    PG_active: bool
    PG_referenced: bool
    PG_workingset: bool


class address_space(Struct):
    """The page cache of one file.

    ``i_pages[i]``: the folio of page i.  Its tag PAGECACHE_TAG_DIRTY is taken to be
    PG_dirty itself, and its lock is left out: each slot is one word.
    A folio of several pages stands in the slot of each of them.
    ``i_mmap``: the VMAs that map the file; with Vma.flags a list of them in its place, with
    ``i_mmap_first`` and ``i_mmap_last`` at its ends.  ``i_mmaplock``: that of its xfs_inode.
    ``i_size``: how long the file is, in pages; see mm/fs.py.
    ``shmem``: of a file that is on no disk.  ``i_block``: where it is on the disk else.
    ``shadows``: of pages that were evicted, see mm/workingset.py.  ``mmap_miss``: of the
    file_ra_state, see mm/readahead.py.
    ``f_count``, ``f_mode``: of its only struct file; each VMA is one of those who count.
    """

    i_pages: Array[folio | None] = array(lambda: file_pages())
    i_mmap: Array[vm_area_struct | None] = array(lambda: Mm.vmas)
    i_mmap_rwsem: rw_semaphore
    i_mmap_first: vm_area_struct | None = None
    i_mmap_last: vm_area_struct | None = None
    i_mmaplock: rw_semaphore
    i_size: ulong
    i_block: ulong
    shmem: bool
    f_count: u32
    f_mode: u2
    mmap_miss: u32
    shadows: Array[u32] = array(lambda: file_pages() if Reclaim.lists else 0)


# The page caches of those that have no name in a protocol.
mappings: Pool[address_space] = pool(address_space, lambda: Mm.files)


class pgprot_t(BitStruct):
    """pgprot_t: what a PTE may grant.  ``none``: nothing at all, as PROT_NONE asks."""

    writable: bool = False
    none: bool = False


class anon_vma_t(Struct):
    """struct anon_vma of include/linux/rmap.h: the VMAs that may have the pages of one.

    ``first``: those who are in it (``rb_root``).  ``parent``: that of the VMA from which
    fork() copied, or itself.
    """

    parent: anon_vma_t | None = None
    num_children: u32
    num_active_vmas: u32
    first: anon_vma_chain_t | None = None


class anon_vma_chain_t(Struct):
    """struct anon_vma_chain: a VMA in an anon_vma.

    ``same_vma``: the next of the VMA.  ``next`` and ``prev``: of the anon_vma.
    """

    vma: Ref[vm_area_struct]
    anon_vma: Ref[anon_vma_t]
    same_vma: anon_vma_chain_t | None = None
    next: anon_vma_chain_t | None = None
    prev: anon_vma_chain_t | None = None


class vm_area_struct(Struct):
    """A mapping of pages ``vm_start`` to ``vm_end`` - 1.

    Page ``vm_start`` is page ``vm_pgoff`` of the file; without one, of nothing: then page
    ``vm_start`` was page ``vm_pgoff`` when it was mapped.  ``shared_next``, ``shared_prev``:
    its neighbours in ``i_mmap``, in place of ``shared``.  ``detached_next``: the next of those
    that a call takes away.
    """

    vm_mm: Ref[mm_struct]
    vm_start: ulong
    vm_end: ulong
    vm_pgoff: ulong
    vm_file: address_space | None = None
    vm_flags: vm_flags_t
    vm_page_prot: pgprot_t
    anon_vma: anon_vma_t | None = None
    anon_vma_chain: anon_vma_chain_t | None = None
    shared_next: vm_area_struct | None = None
    shared_prev: vm_area_struct | None = None
    detached_next: vm_area_struct | None = None


def all_vmas() -> int:
    """VMAs that there is memory for; with Vma.flags each mm has its own number of them."""
    return Mm.vmas * Mm.mms if Vma.flags else Mm.vmas


# A VMA that is gone is free memory: a use of it is reported.
vm_area_cachep: Pool[vm_area_struct] = pool(vm_area_struct, lambda: all_vmas())
# ``rwsem`` of each.  Apart from it: no other semaphore is in memory that is freed.
anon_vma_rwsems: Pool[rw_semaphore] = pool(rw_semaphore, lambda: all_vmas())
# Two for a VMA: of most, one is their own.
anon_vma_cachep: Pool[anon_vma_t] = pool(anon_vma_t, lambda: all_vmas())
anon_vma_chain_cachep: Pool[anon_vma_chain_t] = pool(
    anon_vma_chain_t, lambda: 2 * all_vmas()
)


class ptdesc(Struct):
    """struct ptdesc: what the kernel keeps of a table of PTEs; split PTLs.

    ``pte_refcount``: of a proposal, see mm/pte_refcount.py.
    ``tlb_gen`` and ``tlb_gen_completed``: flushes that the table needed, and those of them
    that are done (a proposal: see mm/mm_inline.py).  ``pt_list``: the next that is deposited.
    """

    ptl: spinlock_t
    pte_refcount: atomic_t
    tlb_gen: u2
    tlb_gen_completed: u2
    pt_list: page_table | None = None


# ptdescs[n] is that of page_tables[n].
ptdescs: Pool[ptdesc] = pool(ptdesc, lambda: page_table_count())
# ``pte_ref`` of each: of another proposal.
pte_refs: Pool[percpu_ref] = pool(
    percpu_ref, lambda: page_table_count() if tables_have_counters_of_cpus() else 0
)


def page_ptdesc(table: page_table) -> ptdesc:
    """page_ptdesc(virt_to_page()) of include/linux/mm.h."""
    return ptdescs[page_tables.index(table)]


def pmd_ptdesc(pmd: pmd_t) -> ptdesc:
    """page_ptdesc(pmd_page()) of include/linux/mm.h: of the table that it points to."""
    return ptdescs[pmd_pfn(pmdp_get(pmd))]


class mm_context_t(Struct):
    """asm/mmu.h.  s390's ``flush_mm``: PTEs went, and this CPU may know them.

    x86's ``tlb_gen``: how many flushes were asked for; counted for lazy TLB mode only.
    """

    flush_mm: bool
    tlb_gen: tlb_gen_t


class table_lock(Struct):
    """What the proposals of mm/table_lock.py have in place of mmap_lock.

    ``rwsem``, or ``count``: how many walk, or, below zero, how many take tables away.
    ``waits``: somebody waits to do that, and nobody begins to walk.
    """

    rwsem: rw_semaphore
    count: s8
    waits: bool


class mm_struct(Struct):
    """An address space.  ``cpu_bitmap``: the CPUs that run its threads, for flushes.

    ``mm_mt``: its VMAs; with Vma.flags the first ``map_count`` are they, by address.
    ``mmap_base``: below it a mapping comes that may be anywhere.  ``pgd``: its top table.
    ``page_table_lock``: for the entries of all tables above those of PTEs.  ``pmd_huge_pte``:
    a table for each huge page, for when it is split.  ``nr_ptes``: the tables of PTEs, where
    mm/pgalloc.py counts.  ``active_invalidate_ranges``, ``invalidate_seq``: of its
    notifier_subscriptions, see mm/mmu_notifier.py.
    """

    pgd: upper_table | None = None
    page_table_lock: spinlock_t
    pmd_huge_pte: page_table | None = None
    table_locks: Array[table_lock] = array(lambda: table_lock_count())
    nr_ptes: atomic_t
    context: mm_context_t
    cpu_bitmap: cpumask_t
    mmap_lock: rw_semaphore
    mm_mt: Array[vm_area_struct | None] = array(lambda: Mm.vmas)
    tlb_flush_pending: atomic_t
    map_count: slot_t
    start_brk: ulong
    brk: ulong
    mmap_base: ulong
    active_invalidate_ranges: nr_t
    invalidate_seq: notifier_seq_t


mms: Pool[mm_struct] = pool(mm_struct, lambda: Mm.mms)


class vm_fault(Struct):
    """struct vm_fault of include/linux/mm.h: what one page fault carries along.

    ``pgoff``: the page of the file, where there is fault-around; else nobody asks twice.
    ``prealloc_pte``: a table at hand.  ``ptl``: the lock that is held, and ``table`` that in
    which ``pte`` points.  ``has_pte``: v5.10's ``vmf->pte`` is not NULL.
    ``cow_page``: a copy of ``page`` to be, for a store to a private mapping of a file.
    ``sigbus``: VM_FAULT_SIGBUS, kept apart from where the rest of the result goes.
    """

    vma: Ref[vm_area_struct]
    address: ulong
    flags: u1
    pgoff: ulong
    pmd: Ref[pmd_t]
    prealloc_pte: page_table | None = None
    ptl: Ref[spinlock_t]
    table: Ref[page_table]
    has_pte: bool
    pte: Ref[pte_slot]
    orig_pte: pte_t
    orig_pmd: pte_t
    page: Ref[folio]
    sigbus: bool
    cow_page: folio | None = None


# One struct page for each frame.  It exists whether its frame is in use or not.
mem_map: Pool[folio] = pool(folio, lambda: Machine.frames)


def pfn_to_page(pfn: pfn_t) -> folio:
    """pfn_to_page() of include/asm-generic/memory_model.h."""
    return mem_map[pfn]


def page_to_pfn(page: folio) -> pfn_t:
    """page_to_pfn() of include/asm-generic/memory_model.h."""
    return mem_map.index(page)


def page_folio(page: folio) -> folio:
    """page_folio() of include/linux/page-flags.h."""
    if not PageCache.large:
        return page
    head = page.compound_head
    return page if head is None else head


def nth_page(page: folio, n: ulong) -> folio:
    """nth_page() of include/linux/mm.h: that of the frame ``n`` frames on."""
    return mem_map[mem_map.index(page) + n]


def folio_page(folio: folio, n: ulong) -> folio:
    """folio_page() of include/linux/page-flags.h."""
    return nth_page(folio, n)


def folio_nr_pages(folio: folio) -> ulong:
    """folio_nr_pages() of include/linux/mm.h."""
    if not PageCache.large:
        return 1
    return ulong(1) << folio.order


def folio_next_index(folio: folio) -> ulong:
    """folio_next_index() of include/linux/pagemap.h: what comes behind it in the file."""
    return folio.index + folio_nr_pages(folio)


def folio_file_page(folio: folio, index: ulong) -> folio:
    """folio_file_page() of include/linux/pagemap.h: its page that is page ``index``."""
    if not PageCache.large:
        return folio
    return nth_page(folio, index - folio.index)


def linear_page_index(vma: vm_area_struct, address: ulong) -> ulong:
    """linear_page_index() of include/linux/pagemap.h."""
    return address - vma.vm_start + vma.vm_pgoff


def file_of(vma: vm_area_struct) -> address_space:
    """``vma->vm_file->f_mapping``, of a VMA that maps a file."""
    mapping = vma.vm_file
    assert mapping is not None, "the VMA maps no file"
    return mapping


def vma_address(page: folio, vma: vm_area_struct) -> ulong:
    """vma_address() of mm/internal.h: where the VMA maps the page.

    The caller knows that it does: the VMA covers the whole file.
    """
    return page.index - vma.vm_pgoff + vma.vm_start
