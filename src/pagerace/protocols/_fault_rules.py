"""What must hold of faults themselves: the properties T1-S7, T1-S9 to T1-S11, T1-P1 to T1-P3.

The threads here call handle_mm_fault() and do_fault_around() themselves, and note what came
back: no property sees a result, or what a fault has on its stack.
"""

from __future__ import annotations

from pagerace.lang import Struct, atomic
from pagerace.machine.memory import Machine, count_t, frames, ulong
from pagerace.machine.pgtable import pte_none, pte_pfn, pte_present
from pagerace.machine.tables import page_tables, pmd_trans_huge
from pagerace.machine.tlb import load
from pagerace.mm.fault import do_user_addr_fault, faults, forget
from pagerace.mm.file_fault import do_fault_around
from pagerace.mm.memory import handle_mm_fault
from pagerace.mm.mm_types import (
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    linear_page_index,
    mem_map,
    page_folio,
    pfn_to_page,
    vm_area_cachep,
    vm_fault,
)
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.page_flags import folio_mapcount, folio_test_locked, folio_test_uptodate
from pagerace.mm.pgalloc import pte_free
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.protocols._file_fault import mapping, mm, pmd_of, pte_at, setup
from pagerace.protocols._mapped_pages import entries_of


def setup_short_vma() -> None:
    """The VMA ends one page early, and page 1 has not been read."""
    setup()
    vm_area_cachep[0].vm_end = Machine.pages - 1
    mem_map[1].PG_uptodate = False


def setup_short_file() -> None:
    """The file ends behind page 0, and the page cache has more of it."""
    setup()
    mapping.i_size = 1


def setup_no_memory() -> None:
    """There is no memory for a table: others have it all."""
    setup()
    for _ in range(len(page_tables)):
        page_tables.alloc()


FAULTED = 1  # the page for which the threads of t1_progress.py fault


class fault_notes(Struct):
    """What the threads below have seen.

    ``most``: the most faults that one load took.  ``no_memory``: a fault said so.
    ``moved``: fault-around left another address in ``vmf``.  ``in_vain``: it said that the
    fault is solved, and nothing is at its place.
    """

    most: count_t
    no_memory: bool
    moved: bool
    in_vain: bool


noted = fault_notes()


def load_counted(address: ulong) -> None:
    """Thread: a load, and as many faults as it needs; how many is noted."""
    count: count_t = 0
    while not load(address):
        count += 1
        with atomic():
            noted.most = max(noted.most, count)
        if not do_user_addr_fault(mm, address, 0):
            return


def begin_fault(address: ulong) -> vm_fault:
    """What do_user_addr_fault() does before it calls handle_mm_fault()."""
    mmap_read_lock(mm)
    vmf = faults.current
    vmf.vma = vm_area_cachep[0]
    vmf.address = address
    return vmf


def end_fault(vmf: vm_fault) -> None:
    """What it does afterwards."""
    mmap_read_unlock(mm)
    forget(vmf)


def fault_noted(address: ulong) -> None:
    """Thread: one fault of a load; whether there was memory for it is noted."""
    vmf = begin_fault(address)
    if handle_mm_fault(vmf) == VM_FAULT_OOM:
        noted.no_memory = True
    end_fault(vmf)


def map_around(address: ulong) -> None:
    """Thread: the fault-around of one fault; what it says is compared with what it did."""
    vmf = begin_fault(address)
    pmd = mm_find_pmd(mm, address)
    if pmd is not None:
        vmf.pmd = pmd
        vmf.pgoff = linear_page_index(vmf.vma, address)
        vmf.prealloc_pte = None
        vmf.has_pte = False
        ret = do_fault_around(vmf)
        with atomic():
            nothing = pte_none(pte_at(address)) and not pmd_trans_huge(pmd_of())
            noted.in_vain |= ret == VM_FAULT_NOPAGE and nothing
            noted.moved |= vmf.address != address
        table = vmf.prealloc_pte
        if table is not None:
            pte_free(mm, table)
            vmf.prealloc_pte = None
    end_fault(vmf)


def the_address_stays() -> bool:
    """T1-S7: ``vmf->address`` is after ->map_pages() what it was before."""
    return not noted.moved


def entries_are_of_the_vma() -> bool:
    """T1-S9: nothing is mapped where the VMA is not."""
    vma = vm_area_cachep[0]
    for address in range(Machine.pages):
        if address < vma.vm_start or address >= vma.vm_end:
            if not pte_none(pte_at(address)):
                return False
    return True


def nothing_is_mapped_past_the_end() -> bool:
    """T1-S9: no page is mapped that is behind the end of the file.

    Only where the file keeps its length: truncation writes that first, and unmaps then.
    """
    for address in range(Machine.pages):
        index = linear_page_index(vm_area_cachep[0], address)
        if pte_present(pte_at(address)) and index >= mapping.i_size:
            return False
    return True


def a_mapped_page_is_of_the_file() -> bool:
    """T1-S10: a page that is mapped is in use, read, and in the page cache of its file."""
    for address in range(Machine.pages):
        pte = pte_at(address)
        if pte_present(pte):
            folio = page_folio(pfn_to_page(pte_pfn(pte)))
            if not frames.allocated(frames[pte_pfn(pte)]) or folio.mapping is not mapping:
                return False
            if not folio_test_uptodate(folio):
                return False
    return True


def pages_are_mapped_under_their_lock() -> bool:
    """T1-S10: between the count of a mapping and its entry (do_set_pte()) the folio is locked.

    Only where nobody unmaps.
    """
    for pfn in range(Machine.frames):
        folio = mem_map[pfn]
        if folio_mapcount(folio) > entries_of(pfn) and not folio_test_locked(folio):
            return False
    return True


def solved_means_mapped() -> bool:
    """T1-S11: where fault-around says that a fault is solved, something is mapped."""
    return not noted.in_vain


def a_fault_maps_its_page() -> bool:
    """T1-P1, at the end: where nobody unmaps, and there is memory, the page is mapped for
    which there was a fault.

    That the end can always be reached is what every check looks for (livelock).
    """
    return pte_present(pte_at(FAULTED)) or pmd_trans_huge(pmd_of())


def one_fault_is_enough() -> bool:
    """T1-P2: where the hardware sets the access flag, and nobody unmaps anything."""
    return noted.most <= 1


def two_faults_are_enough() -> bool:
    """T1-P2: where it does not: one more at most."""
    return noted.most <= 2


def served_or_told() -> bool:
    """T1-P3, at the end: there was no memory for a table, and the fault said so; or the page
    is mapped."""
    return noted.no_memory or a_fault_maps_its_page()
