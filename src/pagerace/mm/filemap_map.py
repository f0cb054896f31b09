"""->map_pages() of a file: mm/filemap.c, and the wrapper of fs/xfs/xfs_file.c.

It maps what the page cache has around a fault, and waits for nothing.  Linux kernel commit
f9ce0be71d1f ("mm: Cleanup faultaround and finish_fault() codepaths") (in v5.12).
"""

from __future__ import annotations

from pagerace.lang import Config
from pagerace.machine.memory import count_t, ulong
from pagerace.machine.pgtable import pte_none, pte_offset_kernel, ptep_get
from pagerace.machine.tables import pmd_trans_huge, pmdp_get
from pagerace.mm.alloc_set_pte import map_pages_by_alloc_set_pte
from pagerace.mm.fault_around import FaultAround, xa_state, xa_states
from pagerace.mm.filemap import filemap_fault
from pagerace.mm.filemap_next import first_map_page, next_map_page
from pagerace.mm.fs import i_size_read
from pagerace.mm.mm_types import (
    VM_FAULT_NOPAGE,
    file_of,
    folio,
    folio_file_page,
    folio_next_index,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.page_flags import folio_ref_add, folio_test_large, folio_test_pmd_mappable
from pagerace.mm.pagemap import folio_unlock
from pagerace.mm.pgalloc import pmd_install
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock
from pagerace.mm.readahead import Readahead, mmap_miss_dec
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.set_pte import (
    do_set_pmd,
    do_set_pte,
    no_table,
    pmd_trans_unstable,
    pte_offset_map_lock_of,
    pte_unmap_unlock_of,
    set_pte_range,
)
from pagerace.mm.swap import folio_put
from pagerace.mm.table_walk import tables_vanish


class Xfs(Config):
    """``mmaplock``: the file is of XFS, whose faults and truncation take the XFS_MMAPLOCK.

    ``map_pages``: ->map_pages() takes it as well.  Matthew Wilcox argued in December 2020
    that it need not.
    """

    mmaplock: bool = False
    map_pages: bool = True


def filemap_map_pmd(vmf: vm_fault, folio: folio) -> bool:
    """filemap_map_pmd(): True if the PMD entry settles it, and the folio is given back.

    Else there is a table afterwards: one that was there, or the one at hand.
    """
    if pmd_trans_huge(pmdp_get(vmf.pmd)):
        if FaultAround.huge_put:
            folio_unlock(folio)
            folio_put(folio)
        return True
    if no_table(vmf.pmd) and folio_test_pmd_mappable(folio):
        if do_set_pmd(vmf, folio) == 0:
            folio_unlock(folio)
            return True
    if no_table(vmf.pmd):
        install_prealloc(vmf)
    if not tables_vanish() and pmd_trans_unstable(vmf.pmd):
        folio_unlock(folio)
        folio_put(folio)
        return True
    return False


def install_prealloc(vmf: vm_fault) -> None:
    """pmd_install(mm, vmf->pmd, &vmf->prealloc_pte).

    Linux kernel commit 9aa1345d66b8 ("mm: fix oops when filemap_map_pmd() without
    prealloc_pte") (in v6.7) looks whether there is one; before, NULL was dereferenced.
    """
    table = vmf.prealloc_pte
    if FaultAround.prealloc_checked and table is None:
        return
    if pmd_install(vmf.vma.vm_mm, vmf.pmd, table):  # pyright: ignore[reportArgumentType]
        vmf.prealloc_pte = None


def filemap_map_pages(vmf: vm_fault, start_pgoff: ulong, end_pgoff: ulong) -> vm_fault_t:
    """filemap_map_pages(): map what is there of pages ``start_pgoff`` to ``end_pgoff``.

    VM_FAULT_NOPAGE: the fault is solved.  In v5.10 the caller has to find that out, and to
    drop the PTL.
    """
    xas = xa_states.current
    xas.xa_index = start_pgoff
    ret: vm_fault_t = 0
    if not FaultAround.rcu_around:
        rcu_read_lock()
    if FaultAround.alloc_set_pte:
        map_pages_by_alloc_set_pte(vmf, xas, start_pgoff, end_pgoff)
    else:
        ret = map_pages(vmf, xas, end_pgoff)
    if not FaultAround.rcu_around:
        rcu_read_unlock()
    xas.xa_index = 0
    return ret


def map_pages(vmf: vm_fault, xas: xa_state, end_pgoff: ulong) -> vm_fault_t:
    """What filemap_map_pages() does in its RCU section from v5.12 on."""
    address = vmf.address
    if FaultAround.address_moves:
        vmf.address = address_of(vmf, xas.xa_index)
    folio = first_map_page(xas, file_of(vmf.vma), end_pgoff)
    if folio is None:
        if FaultAround.address_restored:
            vmf.address = address
        return 0
    if not may_map_pmd(vmf, folio) or not filemap_map_pmd(vmf, folio):
        ret = map_by_ptes(vmf, xas, folio, end_pgoff, address)
    else:
        ret = VM_FAULT_NOPAGE
    if FaultAround.address_moves:
        vmf.address = address
    return ret


def address_of(vmf: vm_fault, pgoff: ulong) -> ulong:
    """Where the VMA has page ``pgoff`` of its file."""
    return vmf.vma.vm_start + pgoff - vmf.vma.vm_pgoff


def may_map_pmd(vmf: vm_fault, folio: folio) -> bool:
    """From v6.18 on: does the folio end before the file does?  Not of a file of shmem."""
    if not FaultAround.whole_folios:
        return True
    mapping = file_of(vmf.vma)
    return mapping.shmem or folio_next_index(folio) < i_size_read(mapping)


def map_by_ptes(
    vmf: vm_fault, xas: xa_state, folio: folio, end_pgoff: ulong, address: ulong
) -> vm_fault_t:
    """The loop of filemap_map_pages(): the PTL is taken and dropped here.

    ``folio`` is the first; ``address`` is that of the fault.
    """
    mapping = file_of(vmf.vma)
    ret: vm_fault_t = 0
    if not pte_offset_map_lock_of(vmf, address_of(vmf, xas.xa_index), True):
        folio_unlock(folio)
        folio_put(folio)
        return 0
    while True:
        if FaultAround.whole_folios and folio_test_large(folio):
            if filemap_map_folio_range(vmf, xas, folio, end_pgoff):
                ret = VM_FAULT_NOPAGE
        elif filemap_map_order0_folio(vmf, folio, xas.xa_index, address):
            ret = VM_FAULT_NOPAGE
        if Readahead.mmap:
            mmap_miss_dec(mapping)
        following = next_map_page(xas, mapping, end_pgoff)
        if following is None:
            break
        folio = following
    pte_unmap_unlock_of(vmf)
    return ret


def filemap_map_order0_folio(
    vmf: vm_fault, folio: folio, pgoff: ulong, address: ulong
) -> bool:
    """filemap_map_order0_folio(): map one page, if there is nothing at its place.

    True: it is the page of the fault.  Until v6.5 this is part of filemap_map_pages(), and
    pages of a large folio are mapped one by one.
    """
    addr = address_of(vmf, pgoff)
    if FaultAround.address_moves:
        vmf.address = addr
    vmf.pte = pte_offset_kernel(vmf.table, addr)
    if not pte_none(ptep_get(vmf.pte)):
        folio_unlock(folio)
        folio_put(folio)
        return False
    do_set_pte(vmf, folio_file_page(folio, pgoff), addr)
    folio_unlock(folio)
    return addr == address


def filemap_map_folio_range(
    vmf: vm_fault, xas: xa_state, folio: folio, end_pgoff: ulong
) -> bool:
    """filemap_map_folio_range(): map what the window has of a large folio, or all of it.

    All of it, from v6.18 on, where it crosses no end: of the VMA, of the table, of the file.
    Each run of empty entries is filled at once.  True: the page of the fault is among them.
    """
    pgoff = xas.xa_index
    last = min(folio_next_index(folio) - 1, min(end_pgoff, i_size_read(file_of(vmf.vma)) - 1))
    if folio_is_in_reach(vmf, folio):
        pgoff = folio.index
        last = folio_next_index(folio) - 1
    mapped: ulong = 0
    run: ulong = 0
    solved = False
    while pgoff <= last:
        vmf.pte = pte_offset_kernel(vmf.table, address_of(vmf, pgoff))
        if pte_none(ptep_get(vmf.pte)):
            run += 1
        else:
            solved = map_run(vmf, folio, pgoff - run, run) or solved
            mapped += run
            run = 0
        pgoff += 1
    solved = map_run(vmf, folio, pgoff - run, run) or solved
    mapped += run
    if mapped == 0:
        folio_unlock(folio)
        folio_put(folio)
    else:
        folio_ref_add(folio, count_t(mapped - 1))
        folio_unlock(folio)
    xas.xa_index = folio_next_index(folio) - 1
    return solved


def folio_is_in_reach(vmf: vm_fault, folio: folio) -> bool:
    """folio_within_vma(), and it crosses neither the table's end nor that of the file."""
    vma = vmf.vma
    first = folio.index
    behind = folio_next_index(folio)
    if first < vma.vm_pgoff or behind > vma.vm_pgoff + (vma.vm_end - vma.vm_start):
        return False
    if not may_map_pmd(vmf, folio):
        return False
    covered = HPAGE_PMD_NR()
    return address_of(vmf, first) // covered == address_of(vmf, behind - 1) // covered


def map_run(vmf: vm_fault, folio: folio, pgoff: ulong, nr: ulong) -> bool:
    """Map ``nr`` pages of a folio from ``pgoff`` on; is the page of the fault among them?"""
    if nr == 0:
        return False
    addr = address_of(vmf, pgoff)
    set_pte_range(vmf, folio_file_page(folio, pgoff), nr, addr)
    return addr <= vmf.address < addr + nr


def xfs_filemap_fault(vmf: vm_fault) -> vm_fault_t:
    """xfs_filemap_fault() of fs/xfs/xfs_file.c: filemap_fault() under the XFS_MMAPLOCK."""
    mapping = file_of(vmf.vma)
    down_read(mapping.i_mmaplock)
    ret = filemap_fault(vmf)
    up_read(mapping.i_mmaplock)
    return ret


def xfs_filemap_map_pages(
    vmf: vm_fault, start_pgoff: ulong, end_pgoff: ulong
) -> vm_fault_t:
    """xfs_filemap_map_pages() of fs/xfs/xfs_file.c: the same under the XFS_MMAPLOCK."""
    mapping = file_of(vmf.vma)
    down_read(mapping.i_mmaplock)
    ret = filemap_map_pages(vmf, start_pgoff, end_pgoff)
    up_read(mapping.i_mmaplock)
    return ret
