"""Other rights: mm/mprotect.c, with Vma.flags."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Config, s64, u32
from pagerace.machine.memory import PAGE_SIZE, pfn_t, ulong
from pagerace.machine.pgtable import (
    pte_advance_pfn,
    pte_dirty,
    pte_mkclean,
    pte_mkdirty,
    pte_mkold,
    pte_mkwrite,
    pte_mkyoung,
    pte_modify,
    pte_needs_flush,
    pte_pfn,
    pte_present,
    pte_same,
    pte_t,
    pte_write,
    pte_young,
    ptep_get,
    set_pte,
)
from pagerace.mm.anon import PageAnon, is_zero_pte
from pagerace.mm.errno import EACCES, EINVAL, ENOMEM
from pagerace.mm.huge_anon import change_whole_huge_pmd
from pagerace.mm.maple_tree import mas_find
from pagerace.mm.mm_types import (
    Thp,
    folio_nr_pages,
    mm_struct,
    page_folio,
    page_to_pfn,
    pfn_to_page,
    pmd_t,
    vm_area_struct,
    vm_flags_t,
)
from pagerace.mm.mman import (
    PROT_EXEC,
    PROT_GROWSDOWN,
    PROT_GROWSUP,
    PROT_READ,
    PROT_SEM,
    PROT_WRITE,
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_GROWSDOWN,
    VM_NORESERVE,
    VM_SHARED,
    VM_WRITE,
)
from pagerace.mm.mmap import calc_vm_prot_bits
from pagerace.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from pagerace.mm.mmu_gather import (
    gathers,
    mmu_gather,
    tlb_finish_mmu,
    tlb_flush_pte_range,
    tlb_gather_mmu,
)
from pagerace.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pagerace.mm.page_flags import folio_test_large
from pagerace.mm.pgtable import find_pte_table, ptep_get_and_clear
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_map,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import pmd_addr_end
from pagerace.mm.vma import vma_modify_flags, vma_set_page_prot, vma_wants_writenotify


class Mprotect(Config):
    """``batches``: PTEs of consecutive pages of one large folio are handled at once.

    Then accessed and dirty bits of one are those of all.  It wants PageCache.large.
    """

    batches: bool = False


V6_18 = Mprotect(batches=True)


def do_mprotect_pkey(mm: mm_struct, start: ulong, len: ulong, prot: u32) -> s64:
    """do_mprotect_pkey(): 0; -EINVAL; -ENOMEM where something is not mapped; -EACCES.

    VMA by VMA: what comes before the one that fails has its new rights.
    """
    grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP)
    if grows == PROT_GROWSDOWN | PROT_GROWSUP:
        return -EINVAL
    asked = prot & u32(~(PROT_GROWSDOWN | PROT_GROWSUP))
    if len == 0:
        return 0
    if start + len <= start:
        return -ENOMEM
    if asked & u32(~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)) != 0:
        return -EINVAL
    mmap_write_lock(mm)
    error = mprotect_range(mm, start, start + len, asked, grows)
    mmap_write_unlock(mm)
    return error


def mprotect_range(mm: mm_struct, start: ulong, end: ulong, prot: u32, grows: u32) -> s64:
    """do_mprotect_pkey(), with mmap_lock held for writing: one flush for all."""
    vma = mas_find(mm, start)
    if vma is None:
        return -ENOMEM
    nstart = start
    if grows & PROT_GROWSDOWN != 0:
        if vma.vm_start >= end:
            return -ENOMEM
        nstart = vma.vm_start
        if vma.vm_flags & VM_GROWSDOWN == 0:
            return -EINVAL
    elif vma.vm_start > start:
        return -ENOMEM
    elif grows & PROT_GROWSUP != 0:
        return -EINVAL
    tlb = gathers.current
    tlb_gather_mmu(tlb, mm)
    error: s64 = 0
    while nstart < end and error == 0:
        part = mas_find(mm, nstart)
        if part is None or part.vm_start > nstart:
            error = -ENOMEM
        else:
            newflags = calc_vm_prot_bits(prot) | (part.vm_flags & u32(~VM_ACCESS_FLAGS))
            if newflags & ~(newflags >> 4) & VM_ACCESS_FLAGS != 0:
                error = -EACCES
            else:
                behind = min(part.vm_end, end)
                error = mprotect_fixup(tlb, part, nstart, behind, newflags)
                nstart = behind
    tlb_finish_mmu(tlb)
    return error


def mprotect_fixup(
    tlb: mmu_gather, vma: vm_area_struct, start: ulong, end: ulong, newflags: vm_flags_t
) -> s64:
    """mprotect_fixup(): the flags of a part of one VMA, and then its entries.

    What becomes private and writable is accounted for from then on, as long as it has pages.
    """
    oldflags = vma.vm_flags
    if newflags == oldflags:
        return 0
    if newflags & VM_WRITE != 0:
        if oldflags & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE) == 0:
            newflags |= VM_ACCOUNT
    elif oldflags & VM_ACCOUNT != 0 and vma.vm_file is None and vma.anon_vma is None:
        newflags &= u32(~VM_ACCOUNT)
    modified = vma_modify_flags(vma, start, end, newflags)
    if modified is None:
        return -ENOMEM
    modified.vm_flags = newflags
    vma_set_page_prot(modified)
    change_protection(tlb, modified, start, end)
    return 0


def vma_wants_manual_pte_write_upgrade(vma: vm_area_struct) -> bool:
    """vma_wants_manual_pte_write_upgrade() of include/linux/mm.h."""
    if vma.vm_flags & VM_SHARED != 0:
        return vma_wants_writenotify(vma)
    return vma.vm_flags & VM_WRITE != 0


def change_protection(tlb: mmu_gather, vma: vm_area_struct, start: ulong, end: ulong) -> None:
    """change_protection() down to change_pmd_range(): one PMD entry after the other."""
    mmu_notifier_invalidate_range_start(tlb.mm, start, end)
    addr = start
    while addr != end:
        next = pmd_addr_end(addr, end)
        pmd = find_pte_table(tlb.mm, addr)
        if Thp.anonymous and pmd is not None:
            if change_whole_huge_pmd(tlb, vma, pmd, addr, next):
                addr = next
                continue
        if pmd is None or change_pte_range(tlb, vma, pmd, addr, next):
            addr = next
    mmu_notifier_invalidate_range_end(tlb.mm, start, end)


def change_pte_range(
    tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_t, start: ulong, end: ulong
) -> bool:
    """change_pte_range(): what is present gets the VMA's rights; the flush comes later.

    False: there is no table any more; the caller looks again at what there is (-EAGAIN).
    Each entry is none for a moment, so that no bit that the walker sets is lost.
    """
    map = pte_maps.current
    if pte_offset_map_lock(tlb.mm, pmd, start, map) is None:
        return False
    upgrade = vma_wants_manual_pte_write_upgrade(vma)
    behind = start
    for addr in range(start, end, PAGE_SIZE):
        if Mprotect.batches and addr < behind:
            continue
        nr_ptes: ulong = 1
        ptep = mapped_pte(map, addr)
        if pte_present(ptep_get(ptep)):
            if Mprotect.batches:
                nr_ptes = mprotect_folio_pte_batch(map, addr, end)
                behind = addr + nr_ptes * PAGE_SIZE
            oldpte = modify_prot_start_ptes(tlb.mm, map, addr, nr_ptes)
            ptent = pte_modify(oldpte, vma.vm_page_prot.writable, vma.vm_page_prot.none)
            if Mprotect.batches:
                for n in range(nr_ptes):
                    at = addr + ulong(n) * PAGE_SIZE
                    old = pte_advance_pfn(oldpte, pfn_t(n))
                    pte = pte_advance_pfn(ptent, pfn_t(n))
                    prot_commit_flush_pte(tlb, vma, map, at, old, pte, upgrade)
            else:
                prot_commit_flush_pte(tlb, vma, map, addr, oldpte, ptent, upgrade)
    pte_unmap_unlock(map)
    return True


def mprotect_folio_pte_batch(map: pte_map, addr: ulong, end: ulong) -> ulong:
    """mprotect_folio_pte_batch(): PTEs from ``addr`` on that are handled at once; 1 or more.

    Those of one large folio, page after page, with the same rights: folio_pte_batch_flags()
    of mm/internal.h with FPB_RESPECT_WRITE.
    """
    first = pte_batch_clear_ignored(ptep_get(mapped_pte(map, addr)))
    if is_zero_pte(first):
        return 1
    page = pfn_to_page(pte_pfn(first))
    folio = page_folio(page)
    if not folio_test_large(folio):
        return 1
    behind = page_to_pfn(folio) + folio_nr_pages(folio) - pte_pfn(first)
    max_nr = min((end - addr) // PAGE_SIZE, ulong(behind))
    nr: ulong = 1
    while nr < max_nr:
        pte = pte_batch_clear_ignored(ptep_get(mapped_pte(map, addr + nr * PAGE_SIZE)))
        if not pte_same(pte, pte_advance_pfn(first, pfn_t(nr))):
            break
        nr += 1
    return nr


def pte_batch_clear_ignored(pte: pte_t) -> pte_t:
    """__pte_batch_clear_ignored() of mm/internal.h: what may differ within a batch."""
    return pte_mkold(pte_mkclean(pte))


def modify_prot_start_ptes(mm: mm_struct, map: pte_map, addr: ulong, nr: ulong) -> pte_t:
    """modify_prot_start_ptes() of include/linux/pgtable.h: all are none from here on.

    The first, accessed and dirty if any of them was: the hardware keeps these bits per PTE,
    and from here on they are the batch's.
    """
    pte = ptep_get_and_clear(mm, addr, mapped_pte(map, addr))
    if Mprotect.batches:
        for n in range(1, nr):
            at = addr + ulong(n) * PAGE_SIZE
            tmp = ptep_get_and_clear(mm, at, mapped_pte(map, at))
            if pte_dirty(tmp):
                pte = pte_mkdirty(pte)
            if pte_young(tmp):
                pte = pte_mkyoung(pte)
    return pte


def prot_commit_flush_pte(
    tlb: mmu_gather,
    vma: vm_area_struct,
    map: pte_map,
    addr: ulong,
    oldpte: pte_t,
    ptent: pte_t,
    upgrade: bool,
) -> None:
    """set_write_prot_commit_flush_ptes() and prot_commit_flush_ptes(), of one PTE of a batch.

    Whether it may be written is asked page by page: of the pages of a private folio some are
    exclusive and others not, as commit_anon_folio_batch() finds out.
    """
    if upgrade and not pte_write(ptent) and can_change_pte_writable(vma, ptent):
        ptent = pte_mkwrite(ptent)
    set_pte(mapped_pte(map, addr), ptent)  # modify_prot_commit_ptes()
    if pte_needs_flush(oldpte, ptent):
        tlb_flush_pte_range(tlb, addr, PAGE_SIZE)


def can_change_pte_writable(vma: vm_area_struct, pte: pte_t) -> bool:
    """can_change_pte_writable(): a store would only fault to be let through.

    A shared page that is dirty: the file system knows.  A private page that is exclusive.
    """
    if vma.vm_flags & VM_WRITE == 0 or not pte_present(pte):
        return False
    if vma.vm_flags & VM_SHARED != 0:
        return pte_dirty(pte)
    if is_zero_pte(pte):
        return False
    page = pfn_to_page(pte_pfn(pte))
    return PageAnon(page) and page.PG_anon_exclusive
