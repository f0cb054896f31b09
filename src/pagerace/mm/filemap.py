"""The page cache: mm/filemap.c."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import atomic, bug_on, cmpxchg, smp_store_release, u4
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import Machine, count_t, frames, pfn_t, read_in, ulong
from pagerace.mm.fault_around import should_fault_around
from pagerace.mm.fs import i_size_read
from pagerace.mm.lruvec import folio_add_lru
from pagerace.mm.mm_types import (
    VM_FAULT_LOCKED,
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    PageCache,
    Vma,
    address_space,
    file_of,
    folio,
    folio_file_page,
    folio_nr_pages,
    folio_page,
    linear_page_index,
    page_folio,
    page_to_pfn,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.page_alloc import alloc_page, folio_alloc
from pagerace.mm.page_flags import (
    folio_get,
    folio_mapped,
    folio_ref_add,
    folio_test_large,
    folio_test_uptodate,
    folio_test_writeback,
)
from pagerace.mm.page_writeback import folio_mark_dirty, write_cache_pages
from pagerace.mm.pagemap import (
    filemap_get_folio,
    folio_lock,
    folio_unlock,
    folio_wait_writeback,
)
from pagerace.mm.readahead import Readahead, mmap_miss_dec, mmap_miss_inc
from pagerace.mm.swap import folio_put, folio_put_refs
from pagerace.mm.workingset import workingset_refault


def filemap_fault(vmf: vm_fault) -> vm_fault_t:
    """filemap_fault(): leaves the folio in ``vmf.page``, locked and with a reference.

    0: it went away meanwhile, or there is no memory, and the access is tried again.
    """
    mapping = file_of(vmf.vma)
    index = vmf.pgoff
    if not should_fault_around():
        index = linear_page_index(vmf.vma, vmf.address)
    if index >= i_size_read(mapping):
        vmf.sigbus = True
        return 0
    folio = filemap_get_folio(mapping, index)
    if folio is None:
        if Counting.on and not mapping.shmem:
            counters.faults_major += 1
        if Readahead.mmap:
            do_sync_mmap_readahead(mapping, index)
        folio = filemap_read_folio(mapping, index)
        if folio is None:
            return VM_FAULT_OOM if Machine.full_size else 0
    elif Readahead.mmap:
        mmap_miss_dec(mapping)
    folio_lock(folio)
    if folio.mapping is not mapping:
        folio_unlock(folio)
        folio_put(folio)
        return 0
    if index >= i_size_read(mapping):
        folio_unlock(folio)
        folio_put(folio)
        vmf.sigbus = True
        return 0
    if not folio_test_uptodate(folio):
        folio_unlock(folio)
        folio_put(folio)
        return 0
    vmf.page = folio_file_page(folio, index)
    return VM_FAULT_LOCKED


def do_sync_mmap_readahead(mapping: address_space, index: ulong) -> None:
    """do_sync_mmap_readahead(): mmap read-around, ``ra_pages`` of which the page is the middle.

    page_cache_ra_unbounded() skips what is there.  The page itself is the caller's.
    """
    if not mmap_miss_inc(mapping):
        return
    start: ulong = 0
    if index > Readahead.ra_pages // 2:
        start = index - Readahead.ra_pages // 2
    end = min(start + Readahead.ra_pages, i_size_read(mapping))
    while start < end:
        if start != index and mapping.i_pages[start] is None:
            folio = filemap_read_folio(mapping, start)
            if folio is None:
                return
            folio_put(folio)
        start += 1


def filemap_read_folio(mapping: address_space, index: ulong) -> folio | None:
    """filemap_read_folio() and filemap_add_folio(): a page comes from the disk.

    The kernel adds the folio first, locked, and reads then; who finds it waits for the
    lock.  Without PageCache.read_later it is added when it has been read.
    """
    if PageCache.read_later:
        return filemap_create_folio(mapping, index)
    else:
        return add_what_was_read(mapping, index)


def add_what_was_read(mapping: address_space, index: ulong) -> folio | None:
    """The same in the order of a disk that is done at once."""
    folio = alloc_page()
    if folio is None:
        return None
    with atomic():  # nobody else knows the folio yet
        read_page(mapping, index, page_to_pfn(folio))
        folio.mapping = mapping
        folio.index = index
        folio_get(folio)
    if cmpxchg(mapping.i_pages[index], None, folio) is not None:
        folio.mapping = None
        folio_put(folio)
        folio_put(folio)
        return None
    add_to_lru(mapping, folio)
    return folio


def filemap_create_folio(mapping: address_space, index: ulong) -> folio | None:
    """filemap_create_folio(): add it, locked, and read it; the end of the I/O unlocks it."""
    folio = alloc_page()
    if folio is None:
        return None
    with atomic():  # nobody else knows the folio yet
        folio.mapping = mapping
        folio.index = index
        folio.PG_uptodate = False
        folio.PG_locked = True
        folio_get(folio)
    if cmpxchg(mapping.i_pages[index], None, folio) is not None:
        with atomic():  # nor does anybody now
            folio.mapping = None
            folio.PG_locked = False
        folio_put_refs(folio, 2)
        return None
    add_to_lru(mapping, folio)
    read_page(mapping, index, page_to_pfn(folio))
    folio_end_read(folio)
    return folio


def read_page(mapping: address_space, index: ulong, pfn: pfn_t) -> None:
    """->read_folio(): from where the file is on the disk, if it is on one."""
    if not Vma.flags:
        read_in(index, pfn)
    elif mapping.shmem:
        frames[pfn].content = 0
    else:
        read_in(mapping.i_block + index, pfn)


def add_to_lru(mapping: address_space, folio: folio) -> None:
    """The end of filemap_add_folio().  What is on no disk stays, for there is no swap."""
    if not (Vma.flags and mapping.shmem):
        workingset_refault(mapping, folio)
        folio_add_lru(folio)


def filemap_add_large_folio(mapping: address_space, index: ulong, order: u4) -> folio | None:
    """filemap_alloc_folio() and filemap_add_folio() of a large one, read; alone, in a set-up.

    ext4 and XFS have such folios where a file was written, or read ahead, in large pieces.
    """
    folio = folio_alloc(order)
    if folio is None:
        return None
    folio.mapping = mapping
    folio.index = index
    folio.PG_uptodate = True
    folio_ref_add(folio, count_t(folio_nr_pages(folio)))
    for n in range(folio_nr_pages(folio)):
        mapping.i_pages[index + n] = folio
        read_in(mapping.i_block + index + n, page_to_pfn(folio_page(folio, n)))
    folio_put(folio)
    return folio


def folio_end_read(folio: folio) -> None:
    """folio_end_read(): from the interrupt of the disk, in one atomic operation."""
    with atomic():
        folio.PG_uptodate = True
        folio.PG_locked = False


def filemap_page_mkwrite(vmf: vm_fault) -> vm_fault_t:
    """filemap_page_mkwrite(): ->page_mkwrite() of most file systems.

    The folio stays locked, and dirty, until the PTE is writable.
    """
    folio = page_folio(vmf.page)
    folio_lock(folio)
    if folio.mapping is not vmf.vma.vm_file:
        folio_unlock(folio)
        return VM_FAULT_NOPAGE
    folio_mark_dirty(folio)
    return VM_FAULT_LOCKED


def file_write_and_wait_range(mapping: address_space, start: ulong, end: ulong) -> None:
    """file_write_and_wait_range(): write what is dirty, wait for what is being written."""
    write_cache_pages(mapping, start, end)
    __filemap_fdatawait_range(mapping, start, end)


def __filemap_fdatawait_range(mapping: address_space, start: ulong, end: ulong) -> None:
    """__filemap_fdatawait_range()."""
    for index in range(start if Vma.flags else 0, end if Vma.flags else len(mapping.i_pages)):
        folio = filemap_get_folio(mapping, index)
        if folio is not None:
            if folio_test_writeback(folio):
                folio_wait_writeback(folio)
            folio_put(folio)


def filemap_remove_folio(folio: folio) -> None:
    """filemap_remove_folio(), of a folio that truncation has unmapped and holds locked.

    filemap_unaccount_folio(): "BUG: Bad page cache" if it is mapped all the same.  Reclaim
    need not ask, for it has frozen the references.
    """
    bug_on(folio_mapped(folio), "bad-page-cache")
    refs = count_t(folio_nr_pages(folio))
    __filemap_remove_folio(folio)
    if folio_test_large(folio):
        folio_put_refs(folio, refs)
    else:
        folio_put(folio)


def __filemap_remove_folio(folio: folio) -> None:
    """__filemap_remove_folio(): out of the page cache; its references are frozen.

    xas_store() is rcu_assign_pointer().
    """
    mapping = folio.mapping
    if mapping is not None:
        smp_store_release(mapping.i_pages[folio.index], None)
        if folio_test_large(folio):
            for n in range(1, folio_nr_pages(folio)):
                smp_store_release(mapping.i_pages[folio.index + n], None)
        folio.mapping = None
