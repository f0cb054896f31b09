"""Tables of all levels, and how the walker goes down through them.

    levels    pgd            p4d      pud      pmd
    2         to PTEs        folded   folded   folded
    3         to a PMD       folded   folded   to PTEs
    4         to a PUD       folded   to ...   to PTEs
    5         to a P4D       to ...   to ...   to PTEs

A folded level is what the kernel makes of it: its entry is the entry of the level above
(include/asm-generic/pgtable-nop4d.h and its like).  An entry is a word in memory like a PTE,
and its frame number is the number of the table that it points to.

TRUSTED.
"""

from __future__ import annotations

from typing import TypeAlias

from pagerace.lang import Array, BitStruct, Config, Pool, Struct, array, pool
from pagerace.machine.arch import Arch
from pagerace.machine.entry import load_entry_whole, pte_slot, pte_t, store_entry
from pagerace.machine.memory import Machine, pfn_t, ulong
from pagerace.machine.pae import load_halves
from pagerace.machine.pgtable import (
    entries_to_the,
    page_table,
    pfn_pte,
    pte_clear,
    pte_dirty,
    pte_mkclean,
    pte_mkdirty,
    pte_mkold,
    pte_mkwrite,
    pte_mkyoung,
    pte_modify,
    pte_none,
    pte_offset_kernel,
    pte_pfn,
    pte_present,
    pte_same,
    pte_write,
    pte_wrprotect,
    pte_young,
    ptrs_per_pte,
)

# What an entry above the PTEs holds.  The hardware has one format for all levels.
pmdval_t: TypeAlias = pte_t


class PteTables(Config):
    """``come_and_go``: page tables are allocated and freed.

    ``rcu_free``: they are freed after a grace period (MMU_GATHER_RCU_TABLE_FREE), as it
    has to be where a flush may interrupt nobody.  ``nr_ptes``: the tables of PTEs of an mm
    are counted, which no code but an accounting looks at.
    """

    come_and_go: bool = False
    rcu_free: bool = False
    nr_ptes: bool = False


class PagingCache(Config):
    """``on``: a CPU remembers the tables of PTEs that its walker has found, in a check.

    At full size machine/tlb_sets.py has such caches, of all levels.
    """

    on: bool = False


class known_table(BitStruct):
    """What a paging-structure cache keeps: where an entry of the PMD pointed to."""

    present: bool = False
    number: pfn_t = 0


class pmd_t(Struct):
    """An entry above the PTEs: what a ``pmd_t *``, ``pud_t *`` and so on points to.

    ``fixed``: the same where tables do not come and go.  The compiler knows what no thread
    writes by fields, and PTEs are written; so this one is a constant, and costs no step.
    """

    entry: pte_slot
    fixed: pmdval_t


pgd_t: TypeAlias = pmd_t
p4d_t: TypeAlias = pmd_t
pud_t: TypeAlias = pmd_t


class upper_table(Struct):
    """A PGD, P4D, PUD or PMD: a table of entries."""

    entry: Array[pmd_t] = array(lambda: Machine.entries)


def page_table_count() -> int:
    """Tables of PTEs that there is memory for."""
    if Machine.tables is None:
        return entries_to_the(Machine.levels - 1)
    return Machine.tables


def upper_table_count() -> int:
    """Tables above them; those of one address space are a full tree."""
    if Machine.uppers is None:
        return sum(entries_to_the(depth) for depth in range(Machine.levels - 1))
    return Machine.uppers


# Table n is known by frame number n; a frame that is a table is nothing else.
page_tables: Pool[page_table] = pool(page_table, lambda: page_table_count())
upper_tables: Pool[upper_table] = pool(upper_table, lambda: upper_table_count())


def pmd_none(pmd: pmdval_t) -> bool:
    """pmd_none() of arch/x86/include/asm/pgtable.h, and pud_none() and so on."""
    return pte_none(pmd)


def pmd_present(pmd: pmdval_t) -> bool:
    """pmd_present() of arch/x86/include/asm/pgtable.h: a leaf is there while it is changed."""
    return pte_present(pmd) or pmd.huge


def pmd_pfn(pmd: pmdval_t) -> pfn_t:
    """pmd_pfn() of arch/x86/include/asm/pgtable.h."""
    return pte_pfn(pmd)


def pmd_same(a: pmdval_t, b: pmdval_t) -> bool:
    """pmd_same() of include/linux/pgtable.h."""
    return pte_same(a, b)


def pmd_trans_huge(pmd: pmdval_t) -> bool:
    """pmd_trans_huge() of arch/x86/include/asm/pgtable.h: a leaf, and no table below it.

    It says so of one that PROT_NONE hides, and of what pmdp_invalidate() leaves, too.
    """
    return pmd.huge


def pmd_leaf(pmd: pmdval_t) -> bool:
    """pmd_leaf() of asm/pgtable.h: what the walker makes of PS."""
    return pmd.present and pmd.huge


def pud_trans_huge(pud: pmdval_t) -> bool:
    """pud_trans_huge() of asm/pgtable.h: a leaf of a PUD."""
    return Machine.huge_puds and pud.present and pud.huge_pud


def pud_leaf(pud: pmdval_t) -> bool:
    """pud_leaf() of asm/pgtable.h: what the walker makes of PS in a PUD."""
    return Machine.huge_puds and pud.present and pud.huge_pud


def pfn_pud(pfn: pfn_t, writable: bool) -> pmdval_t:
    """pfn_pud() of asm/pgtable.h, of a huge protection: a leaf of a PUD, clean, old."""
    return pfn_pte(pfn, writable).replace(huge_pud=True)


def pfn_pmd(pfn: pfn_t, writable: bool) -> pmdval_t:
    """pfn_pmd() of asm/pgtable.h, of a huge protection: a leaf, clean, old."""
    return pfn_pte(pfn, writable).replace(huge=True)


def pmd_write(pmd: pmdval_t) -> bool:
    """pmd_write() of asm/pgtable.h, of a leaf; so are those that follow."""
    return pte_write(pmd)


def pmd_dirty(pmd: pmdval_t) -> bool:
    """pmd_dirty() of asm/pgtable.h."""
    return pte_dirty(pmd)


def pmd_mkyoung(pmd: pmdval_t) -> pmdval_t:
    """pmd_mkyoung() of asm/pgtable.h."""
    return pte_mkyoung(pmd)


def pmd_mkdirty(pmd: pmdval_t) -> pmdval_t:
    """pmd_mkdirty() of asm/pgtable.h."""
    return pte_mkdirty(pmd)


def pmd_mkwrite(pmd: pmdval_t) -> pmdval_t:
    """pmd_mkwrite() of asm/pgtable.h."""
    return pte_mkwrite(pmd)


def pmd_young(pmd: pmdval_t) -> bool:
    """pmd_young() of asm/pgtable.h."""
    return pte_young(pmd)


def pmd_mkold(pmd: pmdval_t) -> pmdval_t:
    """pmd_mkold() of asm/pgtable.h."""
    return pte_mkold(pmd)


def pmd_mkclean(pmd: pmdval_t) -> pmdval_t:
    """pmd_mkclean() of asm/pgtable.h."""
    return pte_mkclean(pmd)


def pmd_wrprotect(pmd: pmdval_t) -> pmdval_t:
    """pmd_wrprotect() of asm/pgtable.h."""
    return pte_wrprotect(pmd)


def pmd_modify(pmd: pmdval_t, writable: bool, none: bool) -> pmdval_t:
    """pmd_modify() of asm/pgtable.h: another protection; ``none``: no access at all."""
    return pte_modify(pmd, writable, none)


def pmd_mkinvalid(pmd: pmdval_t) -> pmdval_t:
    """pmd_mkinvalid() of asm/pgtable.h: no walker takes it, and the kernel sees a leaf."""
    return pmd.replace(present=False, protnone=False)


def pmd_page_vaddr(pmd: pmdval_t) -> page_table:
    """pmd_page_vaddr() of arch/x86/include/asm/pgtable.h: the table of a present entry."""
    return page_tables[pte_pfn(pmd)]


def pud_pgtable(pud: pmdval_t) -> upper_table:
    """pud_pgtable() of arch/x86/include/asm/pgtable.h, and its like above."""
    return upper_tables[pte_pfn(pud)]


def table_entry(number: pfn_t) -> pmdval_t:
    """``__pmd(__pa(table) | _PAGE_TABLE)``: what points to a table."""
    return pfn_pte(number, True)


def pmdp_get(pmd: pmd_t) -> pmdval_t:
    """pmdp_get() of include/linux/pgtable.h: ``*pmdp``, whoever else may write."""
    if not PteTables.come_and_go:
        return pmd.fixed
    if Machine.arch is Arch.X86_PAE:
        return load_halves(pmd.entry)
    return load_entry_whole(pmd.entry)


def set_pmd(pmd: pmd_t, value: pmdval_t) -> None:
    """native_set_pmd() of asm/pgtable.h; on PAE by set_64bit(), never half by half."""
    if PteTables.come_and_go:
        store_entry(pmd.entry, value)
    else:
        pmd.fixed = value


def pmd_clear(pmd: pmd_t) -> None:
    """pmd_clear() of asm/pgtable.h: on PAE in two halves."""
    pte_clear(pmd.entry)


def index_at(level: int, address: ulong) -> ulong:
    """pgd_index() and its like: where in a table of this level, 2 to 5, an address is."""
    if Machine.entries == 1:
        return 0
    return (address // pages_below(level)) % Machine.entries


def pages_below(level: int) -> ulong:
    """PMD_SIZE and its like, in pages: what an entry in a table of this level covers."""
    if level == Machine.levels:
        return Machine.pages // Machine.entries
    if level == Machine.levels - 1:
        return Machine.pages // Machine.entries // Machine.entries
    if level == Machine.levels - 2:
        return Machine.pages // Machine.entries // Machine.entries // Machine.entries
    return (
        Machine.pages
        // (Machine.entries * Machine.entries)
        // (Machine.entries * Machine.entries)
    )


def load_table_entry(entry: pmd_t) -> pmdval_t:
    """The walker's own load, of all bits at once."""
    return entry.entry.value if PteTables.come_and_go else entry.fixed


def walk(top: upper_table, address: ulong) -> pte_slot | None:
    """The walker's way from the top table to the entry of an address; None: it ends before.

    That is a PTE, or a leaf of the PMD or of the PUD, which no machine has whose tables stay.

    What is found on the way is not kept: see walk_known() of machine/tlb.py.
    """
    table = top
    for step in range(Machine.levels - 2):
        above = load_table_entry(table.entry[index_at(Machine.levels - step, address)])
        if not above.present:
            return None
        if pud_leaf(above):
            return table.entry[index_at(Machine.levels - step, address)].entry
        table = upper_tables[above.pfn]
    lowest = table.entry[index_at(2, address)]
    pmd = load_table_entry(lowest)
    if not pmd.present:
        return None
    if pmd_leaf(pmd):
        return lowest.entry
    return pte_offset_kernel(page_tables[pmd.pfn], address)


def find_table(top: upper_table, address: ulong) -> known_table:
    """The walker's way to the table of PTEs of an address, as it is kept."""
    table = top
    for step in range(Machine.levels - 2):
        above = load_table_entry(table.entry[index_at(Machine.levels - step, address)])
        if not above.present or pud_leaf(above):
            return known_table()
        table = upper_tables[above.pfn]
    pmd = load_table_entry(table.entry[index_at(2, address)])
    if not pmd.present or pmd_leaf(pmd):
        return known_table()
    return known_table(present=True, number=pmd.pfn)


def tables_to_know() -> int:
    """Tables of PTEs in a whole address space: entries of a paging-structure cache."""
    return Machine.pages // ptrs_per_pte()
