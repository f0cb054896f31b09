"""Page tables as the kernel handles them: include/linux/mm.h, mm/pgtable-generic.c."""

from __future__ import annotations

from pagerace.lang import atomic
from pagerace.machine.arch import Arch
from pagerace.machine.counters import Counting, counters
from pagerace.machine.entry import exchange_entry
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import (
    native_ptep_get_and_clear,
    page_table,
    pte_clear,
    pte_mkold,
    pte_offset_kernel,
    pte_present,
    pte_same,
    pte_slot,
    pte_t,
    pte_write,
    pte_wrprotect,
    pte_young,
    ptep_get,
    ptrs_per_pte,
    set_pte,
)
from pagerace.machine.tables import (
    PteTables,
    page_tables,
    pmd_mkinvalid,
    pmd_none,
    pmd_page_vaddr,
    pmd_same,
    pmd_wrprotect,
    pmdp_get,
    pmdval_t,
    set_pmd,
)
from pagerace.machine.walker import arm64
from pagerace.mm import pgtable_arm64, pgtable_s390
from pagerace.mm.atomic import count_atomic
from pagerace.mm.mm_types import mm_struct, pmd_ptdesc, pmd_t, ptdescs, vm_area_struct
from pagerace.mm.pgtable_levels import find_pmd
from pagerace.mm.pgtable_s390 import ptep_xchg_direct, ptep_xchg_lazy
from pagerace.mm.spinlock import spin_lock, spinlock_t
from pagerace.mm.tlb import flush_tlb_mm_range, flush_tlb_page
from pagerace.mm.walk_notes import note_set_pmd

# All architectures of machine/arch.py have a ptep_set_wrprotect() of their own.
HAVE_ARCH_PTEP_SET_WRPROTECT = True


def mm_find_pmd(mm: mm_struct, address: ulong) -> pmd_t | None:
    """mm_find_pmd() of mm/rmap.c: the PMD entry, which can be none; or None: nowhere to be."""
    return find_pmd(mm, address)


def find_pte_table(mm: mm_struct, address: ulong) -> pmd_t | None:
    """mm_find_pmd() and pmd_none_or_clear_bad(): the PMD entry that has a table, or None."""
    pmd = find_pmd(mm, address)
    if PteTables.come_and_go and pmd is not None and pmd_none(pmdp_get(pmd)):
        return None
    return pmd


def pte_entry(pmd: pmd_t, address: ulong) -> pte_slot:
    """The entry of an address, below a PMD entry that has a table: of set-ups and properties.

    Who walks while others do maps the table: mm/pgtable_generic.py.
    """
    return pte_offset_kernel(pmd_page_vaddr(pmdp_get(pmd)), address)


def pte_lockptr(mm: mm_struct, pmd: pmd_t) -> spinlock_t:
    """pte_lockptr() of include/linux/mm.h: the lock of one table (split PTLs)."""
    return pmd_ptdesc(pmd).ptl


def pmd_lockptr(mm: mm_struct, pmd: pmd_t) -> spinlock_t:
    """pmd_lockptr() of include/linux/mm.h, without USE_SPLIT_PMD_PTLOCKS."""
    return mm.page_table_lock


def pmd_lock(mm: mm_struct, pmd: pmd_t) -> spinlock_t:
    """pmd_lock() of include/linux/mm.h: the lock, taken."""
    ptl = pmd_lockptr(mm, pmd)
    spin_lock(ptl)
    return ptl


def ptep_get_and_clear(mm: mm_struct, address: ulong, ptep: pte_slot) -> pte_t:
    """ptep_get_and_clear() of asm/pgtable.h: one xchg, and on s390 a flush in it."""
    if Machine.arch is Arch.S390:
        return ptep_xchg_lazy(mm, address, ptep, pte_t())
    else:
        count_atomic()
        return native_ptep_get_and_clear(ptep)


def ptep_get_and_clear_full(mm: mm_struct, address: ulong, ptep: pte_slot, full: bool) -> pte_t:
    """ptep_get_and_clear_full() of asm/pgtable.h.

    ``full``: the whole mm goes away and no CPU runs it, so that no xchg is needed.
    """
    if full:
        pte = ptep_get(ptep)
        pte_clear(ptep)
    else:
        pte = ptep_get_and_clear(mm, address, ptep)
    if Counting.on and pte.prefaulted:
        counters.around_unused += 1
    return pte


def ptep_modify_prot_start(vma: vm_area_struct, address: ulong, ptep: pte_slot) -> pte_t:
    """ptep_modify_prot_start(): begin a change of an entry that the walker may change too.

    It is none until ptep_modify_prot_commit(), so that whoever uses it meanwhile faults.
    """
    return ptep_get_and_clear(vma.vm_mm, address, ptep)


def ptep_modify_prot_commit(
    vma: vm_area_struct, address: ulong, ptep: pte_slot, value: pte_t
) -> None:
    """ptep_modify_prot_commit(): what the entry is from now on."""
    set_pte(ptep, value)


def ptep_test_and_clear_young(vma: vm_area_struct, address: ulong, ptep: pte_slot) -> bool:
    """ptep_test_and_clear_young() of arch/x86/mm/pgtable.c: one locked RMW, and no flush.

    A TLB that has the entry goes on without looking at it, and sets no bit.
    """
    with atomic():
        pte = ptep.value
        if pte_young(pte):
            ptep.value = pte_mkold(pte)
    return pte_young(pte)


def ptep_clear_flush_young(vma: vm_area_struct, address: ulong, ptep: pte_slot) -> bool:
    """ptep_clear_flush_young() of arch/x86/mm/pgtable.c: without the flush."""
    return ptep_test_and_clear_young(vma, address, ptep)


def ptep_clear_flush(vma: vm_area_struct, address: ulong, ptep: pte_slot) -> pte_t:
    """ptep_clear_flush() of mm/pgtable-generic.c: no CPU translates it any more."""
    if Machine.arch is Arch.S390:
        return ptep_xchg_direct(vma.vm_mm, address, ptep, pte_t())
    else:
        pte = ptep_get_and_clear(vma.vm_mm, address, ptep)
        if pte_present(pte):  # pte_accessible()
            flush_tlb_page(vma, address)
        return pte


def ptep_set_access_flags(
    vma: vm_area_struct, address: ulong, ptep: pte_slot, entry: pte_t, dirty: bool
) -> bool:
    """ptep_set_access_flags() of arch/x86/mm/pgtable.c: rights only grow, no flush.

    arm64 and s390 flush: a fault leaves the read-only entry that it came from in the TLB.
    """
    if Machine.arch is Arch.S390:
        return pgtable_s390.set_access_flags(vma.vm_mm, address, ptep, entry)
    elif arm64():
        changed = pgtable_arm64.set_access_flags(ptep, entry)
        if changed and dirty:
            flush_tlb_page(vma, address)
        return changed
    else:
        changed = not pte_same(ptep_get(ptep), entry)
        if changed and dirty:
            set_pte(ptep, entry)
        return changed


def ptep_set_wrprotect(mm: mm_struct, address: ulong, ptep: pte_slot) -> None:
    """ptep_set_wrprotect() of asm/pgtable.h: no bit that the hardware sets is lost."""
    if not HAVE_ARCH_PTEP_SET_WRPROTECT:
        # include/linux/pgtable.h: for hardware that sets no bits.
        set_pte(ptep, pte_wrprotect(ptep_get(ptep)))
    elif Machine.arch is Arch.S390:
        old = ptep_get(ptep)
        if pte_write(old):
            ptep_xchg_lazy(mm, address, ptep, pte_wrprotect(old))
    elif arm64():
        pgtable_arm64.set_wrprotect(ptep)
    else:
        count_atomic()
        with atomic():  # clear_bit(_PAGE_BIT_RW): one locked instruction
            ptep.value = pte_wrprotect(ptep.value)


def set_pmd_at(mm: mm_struct, address: ulong, pmd: pmd_t, value: pmdval_t) -> None:
    """set_pmd_at() of asm/pgtable.h: one store; PML held."""
    note_set_pmd(value)
    set_pmd(pmd, value)


def pmdp_huge_get_and_clear(mm: mm_struct, address: ulong, pmd: pmd_t) -> pmdval_t:
    """pmdp_huge_get_and_clear() of asm/pgtable.h: one xchg."""
    note_set_pmd(pmdval_t())
    return native_ptep_get_and_clear(pmd.entry)


def pmdp_huge_clear_flush(vma: vm_area_struct, address: ulong, pmd: pmd_t) -> pmdval_t:
    """pmdp_huge_clear_flush() of mm/pgtable-generic.c: no CPU translates it any more."""
    value = pmdp_huge_get_and_clear(vma.vm_mm, address, pmd)
    flush_tlb_mm_range(vma.vm_mm, address, address + ptrs_per_pte())
    return value


def pmdp_invalidate(vma: vm_area_struct, address: ulong, pmd: pmd_t) -> pmdval_t:
    """pmdp_invalidate() of mm/pgtable-generic.c: a leaf that no CPU translates any more.

    What it held: no bit that the hardware sets comes after it.
    """
    old = pmdp_invalidate_ad(vma, address, pmd)
    flush_tlb_mm_range(vma.vm_mm, address, address + ptrs_per_pte())
    return old


def pmdp_invalidate_ad(vma: vm_area_struct, address: ulong, pmd: pmd_t) -> pmdval_t:
    """pmdp_invalidate_ad() of arch/x86/mm/pgtable.c: the same, with no flush yet."""
    count_atomic()
    return exchange_entry(pmd.entry, pmd_mkinvalid(pmdp_get(pmd)))


def pmdp_set_wrprotect(mm: mm_struct, address: ulong, pmd: pmd_t) -> None:
    """pmdp_set_wrprotect() of asm/pgtable.h: one locked instruction; PML held."""
    count_atomic()
    with atomic():
        pmd.entry.value = pmd_wrprotect(pmd.entry.value)


def pgtable_trans_huge_deposit(mm: mm_struct, pmd: pmd_t, table: page_table) -> None:
    """pgtable_trans_huge_deposit() of mm/pgtable-generic.c: for when it is split; PML held."""
    with atomic():
        ptdescs[page_tables.index(table)].pt_list = mm.pmd_huge_pte
        mm.pmd_huge_pte = table


def pgtable_trans_huge_withdraw(mm: mm_struct, pmd: pmd_t) -> page_table:
    """pgtable_trans_huge_withdraw() of mm/pgtable-generic.c: any of them; PML held."""
    with atomic():
        table = mm.pmd_huge_pte
        assert table is not None, "no table is deposited"
        mm.pmd_huge_pte = ptdescs[page_tables.index(table)].pt_list
        ptdescs[page_tables.index(table)].pt_list = None
    return table


def pmdp_set_access_flags(
    vma: vm_area_struct, address: ulong, pmd: pmd_t, value: pmdval_t, dirty: bool
) -> bool:
    """pmdp_set_access_flags() of arch/x86/mm/pgtable.c: rights only grow, no flush."""
    changed = not pmd_same(pmdp_get(pmd), value)
    if changed and dirty:
        set_pmd(pmd, value)
    return changed
