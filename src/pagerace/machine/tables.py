"""Tables above those of PTEs, and how the walker goes down through them.

    levels    pgd            p4d      pud      pmd
    1         -              -        -        -         the register points to the PTEs
    2         to PTEs        folded   folded   folded
    3         to a PMD       folded   folded   to PTEs
    4         to a PUD       folded   to ...   to PTEs
    5         to a P4D       to ...   to ...   to PTEs

A folded level is what the kernel makes of it: its entry is the entry of the level above
(include/asm-generic/pgtable-nop4d.h and its like).  The tables of PTEs are those of
machine/pgtable.py.

TRUSTED.
"""

from __future__ import annotations

from typing import TypeAlias

from pagerace.lang import Array, Pool, Struct, array, pool
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import entries_to_the, page_table, pte_offset_kernel, pte_slot


class table_entry(Struct):
    """An entry above the PTEs; the hardware reads those of all levels alike.

    ``table``: the table that it points to, or in an entry of the lowest such level
    ``ptes``.  Neither: pgd_none(), p4d_none() and so on.
    """

    table: upper_table | None = None
    ptes: page_table | None = None


pgd_t: TypeAlias = table_entry
p4d_t: TypeAlias = table_entry
pud_t: TypeAlias = table_entry


class upper_table(Struct):
    """A PGD, P4D, PUD or PMD: a table of entries."""

    entry: Array[table_entry] = array(lambda: Machine.entries if Machine.levels > 1 else 1)


def upper_tables_of_an_mm() -> int:
    """The tables above those of PTEs, if all are there: a full tree of ``levels`` - 1."""
    return sum(entries_to_the(depth) for depth in range(Machine.levels - 1))


# Of one address space.
upper_tables: Pool[upper_table] = pool(upper_table, lambda: upper_tables_of_an_mm())


def index_at(level: int, address: ulong) -> ulong:
    """pgd_index() and its like: where in a table of this level, 2 to 5, an address is."""
    if Machine.entries == 1:
        return 0
    pages = Machine.pages // entries_to_the(Machine.levels + 1 - level)
    return (address // pages) % Machine.entries


def walk(top: upper_table, address: ulong) -> pte_slot | None:
    """The walker's way from the top table to the PTE of an address; None: it ends before.

    What is found on the way is not kept: there is no paging-structure cache.
    """
    table = top
    for step in range(Machine.levels - 2):
        below = table.entry[index_at(Machine.levels - step, address)].table
        if below is None:
            return None
        table = below
    ptes = table.entry[index_at(2, address)].ptes
    if ptes is None:
        return None
    return pte_offset_kernel(ptes, address)
