"""Other rights: mm/mprotect.c, with Vma.flags."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import s64, u32
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import (
    pte_dirty,
    pte_mkwrite,
    pte_modify,
    pte_needs_flush,
    pte_pfn,
    pte_present,
    pte_t,
    pte_write,
    ptep_get,
    set_pte,
)
from pagerace.mm.anon import PageAnon, is_zero_pte
from pagerace.mm.errno import EACCES, EINVAL, ENOMEM
from pagerace.mm.huge_anon import change_whole_huge_pmd
from pagerace.mm.maple_tree import mas_find
from pagerace.mm.mm_types import (
    Thp,
    mm_struct,
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
from pagerace.mm.pgtable import find_pte_table, ptep_get_and_clear
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import pmd_addr_end
from pagerace.mm.vma import vma_modify_flags, vma_set_page_prot, vma_wants_writenotify


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
    for addr in range(start, end, PAGE_SIZE):
        ptep = mapped_pte(map, addr)
        if pte_present(ptep_get(ptep)):
            oldpte = ptep_get_and_clear(tlb.mm, addr, ptep)  # modify_prot_start_ptes()
            ptent = pte_modify(oldpte, vma.vm_page_prot.writable, vma.vm_page_prot.none)
            if upgrade and not pte_write(ptent) and can_change_pte_writable(vma, ptent):
                ptent = pte_mkwrite(ptent)
            set_pte(ptep, ptent)  # modify_prot_commit_ptes()
            if pte_needs_flush(oldpte, ptent):
                tlb_flush_pte_range(tlb, addr, PAGE_SIZE)
    pte_unmap_unlock(map)
    return True


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
