"""alloc_set_pte() of mm/memory.c, until v5.11: one function for two callers.

finish_fault() may sleep, and filemap_map_pages() must not, for it is in an RCU section.
Whether it sleeps is decided in do_fault_around(), two frames up, which allocates a table if
it sees none; and the PTL that is taken here is dropped by the callers.
"""

from __future__ import annotations

from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import pte_none, pte_offset_kernel, ptep_get
from pagerace.machine.tables import pmd_none, pmd_trans_huge, pmdp_get
from pagerace.mm.cow import is_cow_fault, map_cow_page
from pagerace.mm.fault_around import xa_state
from pagerace.mm.filemap_next import first_map_page, next_map_page
from pagerace.mm.mm_types import (
    VM_FAULT_FALLBACK,
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    file_of,
    folio,
    folio_file_page,
    page_folio,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.page_flags import folio_test_large
from pagerace.mm.pagemap import folio_unlock
from pagerace.mm.pgalloc import mm_inc_nr_ptes, pmd_populate, pte_alloc
from pagerace.mm.pgtable import pmd_lock
from pagerace.mm.set_pte import (
    do_set_pmd,
    do_set_pte,
    pmd_trans_unstable,
    pte_offset_map_lock_of,
)
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.swap import folio_put


def alloc_set_pte(vmf: vm_fault, page: folio) -> vm_fault_t:
    """alloc_set_pte(): map ``page``, or the copy, at ``vmf->address``; PTL held afterwards.

    0, or VM_FAULT_NOPAGE if there is an entry already, or VM_FAULT_OOM.
    """
    if pmd_none(pmdp_get(vmf.pmd)) and folio_test_large(page_folio(page)):
        if not is_cow_fault(vmf):
            ret = do_set_pmd(vmf, page)
            if ret != VM_FAULT_FALLBACK:
                return ret
    if not vmf.has_pte:
        ret = pte_alloc_one_map(vmf)
        if ret != 0:
            return ret
    if not pte_none(ptep_get(vmf.pte)):
        return VM_FAULT_NOPAGE
    if is_cow_fault(vmf):
        map_cow_page(vmf)
    else:
        do_set_pte(vmf, page, vmf.address)
    return 0


def pte_alloc_one_map(vmf: vm_fault) -> vm_fault_t:
    """pte_alloc_one_map(): bring a table if there is none, and take its PTL."""
    mm = vmf.vma.vm_mm
    if pmd_none(pmdp_get(vmf.pmd)):
        table = vmf.prealloc_pte
        if table is not None:
            ptl = pmd_lock(mm, vmf.pmd)
            if pmd_none(pmdp_get(vmf.pmd)):
                mm_inc_nr_ptes(mm)
                pmd_populate(mm, vmf.pmd, table)
                vmf.prealloc_pte = None
            spin_unlock(ptl)
        elif pte_alloc(mm, vmf.pmd):
            return VM_FAULT_OOM
    if pmd_trans_unstable(vmf.pmd):
        return VM_FAULT_NOPAGE
    if not pte_offset_map_lock_of(vmf, vmf.address, True):
        return VM_FAULT_NOPAGE
    vmf.has_pte = True
    return 0


def map_pages_by_alloc_set_pte(
    vmf: vm_fault, xas: xa_state, start_pgoff: ulong, end_pgoff: ulong
) -> None:
    """The loop of filemap_map_pages(), of v5.10: ``vmf->address`` begins at the window."""
    mapping = file_of(vmf.vma)
    last_pgoff = start_pgoff
    folio = first_map_page(xas, mapping, end_pgoff)
    while folio is not None:
        vmf.address += xas.xa_index - last_pgoff
        if vmf.has_pte:
            vmf.pte = pte_offset_kernel(vmf.table, vmf.address)
        last_pgoff = xas.xa_index
        ret = alloc_set_pte(vmf, folio_file_page(folio, xas.xa_index))
        folio_unlock(folio)
        if ret != 0:
            folio_put(folio)
        if pmd_trans_huge(pmdp_get(vmf.pmd)):
            return
        folio = next_map_page(xas, mapping, end_pgoff)
