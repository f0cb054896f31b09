"""Running a CPU on one table of PTEs."""

from __future__ import annotations

from pagerace.machine.cpu import processor
from pagerace.machine.pgtable import page_table
from pagerace.machine.tables import page_tables, set_pmd, table_entry, upper_tables


def run_on(cpu: processor, table: page_table) -> None:
    """The top table of two levels leads to ``table``."""
    set_pmd(upper_tables[0].entry[0], table_entry(page_tables.index(table)))
    cpu.cr3 = upper_tables[0]
