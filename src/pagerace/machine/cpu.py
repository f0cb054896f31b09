"""Processors: what each of them has for itself.

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import Array, BitStruct, Pool, Struct, array, pool
from pagerace.machine.memory import Machine, pfn_t
from pagerace.machine.pgtable import page_table


class tlb_entry(BitStruct):
    """A copy of a PTE, taken when the entry was filled.

    Changing the PTE in memory does not change the copy.
    """

    present: bool = False
    writable: bool = False
    dirty: bool = False
    pfn: pfn_t = 0


class processor(Struct):
    """One CPU.  ``cr3``: the tables that its walker reads; None: no user space.

    ``tlb[a]`` translates virtual page a.  ``interrupts_off``: the interrupt flag is
    clear.  ``request[i]``: CPU i has sent an interrupt and waits for the answer.
    """

    cr3: page_table | None = None
    tlb: Array[tlb_entry] = array(lambda: Machine.pages)
    interrupts_off: bool
    request: Array[bool] = array(lambda: Machine.cpus)


# CPU n is cpus[n].  Processors are never allocated nor freed.
cpus: Pool[processor] = pool(processor, lambda: Machine.cpus)
