"""Wrong versions of v6.2: what a change could break, and the property that notices."""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import drop, force, mutant, swap
from pagerace.machine.pgtable import pte_wrprotect
from pagerace.mm.fault import do_user_addr_fault
from pagerace.mm.file_fault import do_shared_fault, fault_dirty_shared_page
from pagerace.mm.filemap import filemap_fault, filemap_page_mkwrite
from pagerace.mm.memory import wp_page_shared, zap_pte_range
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.mmu_gather import (
    tlb_flush_mmu_tlbonly,
    tlb_flush_rmaps,
)
from pagerace.mm.page_vma_mapped import map_pte, page_vma_mapped_walk_done
from pagerace.mm.page_writeback import (
    folio_clear_dirty_for_io,
    write_cache_pages,
)
from pagerace.mm.pagemap import folio_lock, folio_unlock, unlock_page
from pagerace.mm.pgtable import ptep_clear_flush
from pagerace.mm.rmap import page_mkclean_one, rmap_walk_file
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.smp import csd_lock_wait, smp_call_function_many
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.tlb import (
    flush_tlb_func,
    flush_tlb_mm_range,
    flush_tlb_page,
)
from pagerace.mm.vmscan import __remove_mapping, shrink_folio_list
from pagerace.protocols._dirty_tracking import (
    every_store_survives,
    fsync_keeps_its_promise,
    mapcount_is_exact,
    no_ext4_warning,
    no_store_behind_mkclean,
    ptl_covers_the_flush,
    reference_outlives_translations,
    rmap_outlives_translations,
)

MUTANTS = {
    "no_flush": mutant(
        drop(zap_pte_range, tlb_flush_mmu_tlbonly), killed_by=rmap_outlives_translations
    ),
    "rmap_before_flush": mutant(
        swap(zap_pte_range, tlb_flush_mmu_tlbonly, tlb_flush_rmaps),
        killed_by=rmap_outlives_translations,
    ),
    "flush_of_this_cpu_only": mutant(
        drop(flush_tlb_mm_range, smp_call_function_many),
        killed_by=rmap_outlives_translations,
    ),
    "flush_of_other_cpus_only": mutant(
        drop(flush_tlb_mm_range, flush_tlb_func), killed_by=rmap_outlives_translations
    ),
    "ipi_not_waited_for": mutant(
        drop(flush_tlb_mm_range, csd_lock_wait), killed_by=rmap_outlives_translations
    ),
    "rmap_never": mutant(drop(zap_pte_range, tlb_flush_rmaps), killed_by=mapcount_is_exact),
    "ptl_before_flush": mutant(
        force(zap_pte_range, "MmuGather.flush_under_ptl", False),
        killed_by=ptl_covers_the_flush,
    ),
    "fault_without_folio_lock": mutant(
        drop(filemap_fault, folio_lock),
        drop(filemap_fault, folio_unlock),
        drop(filemap_page_mkwrite, folio_lock),
        drop(filemap_page_mkwrite, folio_unlock),
        drop(do_shared_fault, unlock_page),
        drop(wp_page_shared, unlock_page),
        drop(fault_dirty_shared_page, unlock_page),
        killed_by=no_ext4_warning,
    ),
    "mkclean_without_ptl": mutant(
        drop(map_pte, spin_lock),
        drop(page_vma_mapped_walk_done, spin_unlock),
        killed_by=ptl_covers_the_flush,
    ),
    "mkclean_without_i_mmap_rwsem": mutant(
        drop(rmap_walk_file, down_read),
        drop(rmap_walk_file, up_read),
        killed_by="use-after-free",
    ),
    "fault_without_mmap_lock": mutant(
        drop(do_user_addr_fault, mmap_read_lock),
        drop(do_user_addr_fault, mmap_read_unlock),
        killed_by="use-after-free",
    ),
    "mkclean_without_pvmw_sync": mutant(
        force(map_pte, "pvmw.flags & PVMW_SYNC", False), killed_by=no_store_behind_mkclean
    ),
    "mkclean_without_flush": mutant(
        drop(ptep_clear_flush, flush_tlb_page), killed_by=ptl_covers_the_flush
    ),
    "mkclean_without_wrprotect": mutant(
        drop(page_mkclean_one, pte_wrprotect), killed_by=no_store_behind_mkclean
    ),
    "writeback_without_mkclean": mutant(
        force(folio_clear_dirty_for_io, "folio_mkclean(folio) != 0", False),
        killed_by=no_store_behind_mkclean,
    ),
    "fsync_without_dirty_pages": mutant(
        force(write_cache_pages, "folio_test_dirty(folio)", False),
        killed_by=fsync_keeps_its_promise,
    ),
    "reclaim_of_dirty_pages": mutant(
        force(shrink_folio_list, "folio_test_dirty(folio)", False),
        force(__remove_mapping, "folio_test_dirty(folio)", False),
        killed_by=every_store_survives,
    ),
    "reclaim_without_freeze": mutant(
        force(__remove_mapping, "not folio_ref_freeze(folio, 2)", False),
        killed_by=reference_outlives_translations,
    ),
}
