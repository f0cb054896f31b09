"""Every kernel and every proposal for tables of PTEs, beside the same others.

One CPU zaps two pages and then unmaps them, another looks at the first by GUP-fast, a third
faults on it.  Which tables go when, and what keeps walkers from them, is the variant's:
mm/table_variants.py has their names, which are those of the claims but for - and dots.
"""

from __future__ import annotations

from pagerace.lang import Config, agent, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm.anon import Anon
from pagerace.mm.mmu_gather import MmuGather
from pagerace.mm.rcu_callbacks import rcu_core
from pagerace.mm.table_variants import TITLES, VARIANTS
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._table_claims import (
    each_page_is_mapped_as_it_counts,
    no_table_is_there,
    tables_are_counted,
    the_fault_has_mapped,
)
from pagerace.protocols._table_walkers import (
    Tables,
    dontneed_and_unmap,
    gup_fast,
    setup,
    write_fault,
)


def of(name: str) -> list[Config]:
    """The parameters of a variant, with a gather that is full after each page."""
    return [
        config.replace(bundle=1, batches=1) if isinstance(config, MmuGather) else config
        for config in VARIANTS[name]
    ]


v5_11 = protocol(
    title=TITLES["v5.11"][0],
    kernel="mm/pgtable-generic.c: pte_offset_map_lock()",
    commit="70cbc3cc78a9",
    threads=[
        thread(dontneed_and_unmap, cpu=0),
        thread(gup_fast, cpu=1),
        thread(write_fault, cpu=2),
        agent(sysvec_call_function, cpu=0),
        agent(sysvec_call_function, cpu=1),
    ],
    setup=setup,
    at_end=[tables_are_counted, each_page_is_mapped_as_it_counts],
    sometimes=[no_table_is_there, the_fault_has_mapped],
    config=[
        *of("v5.11"),
        Machine(cpus=3, pages=2, frames=4, tables=2),
        PteTables(come_and_go=True, nr_ptes=True, rcu_free=True),
        Anon(private=True),
        Tables(anonymous=True, mapped_pages=2),
    ],
)

v6_1 = v5_11.replace(title=TITLES["v6.1"][0], config=of("v6.1"))
v6_5 = v5_11.replace(title=TITLES["v6.5"][0], config=of("v6.5"))
v6_14_first = v5_11.replace(
    title=TITLES["v6.14-first"][0],
    commit="6375e95f381e",
    sometimes=[],
    config=of("v6.14-first"),
    expect=violates(each_page_is_mapped_as_it_counts),
)
v6_14 = v5_11.replace(title=TITLES["v6.14"][0], config=of("v6.14"))
naive = v5_11.replace(
    title=TITLES["naive"][0],
    sometimes=[],
    config=of("naive"),
    expect=violates("use-after-free"),
)
mm_rwsem = v5_11.replace(title=TITLES["mm-rwsem"][0], config=of("mm-rwsem"))
pmd_rwsem = v5_11.replace(title=TITLES["pmd-rwsem"][0], config=of("pmd-rwsem"))
pmd_rwsem_hashed = v5_11.replace(
    title=TITLES["pmd-rwsem-hashed"][0], config=of("pmd-rwsem-hashed")
)
read_or_ptl = v5_11.replace(title=TITLES["read-or-ptl"][0], config=of("read-or-ptl"))
red_blue = v5_11.replace(title=TITLES["red-blue"][0], config=of("red-blue"))
atomic_unless = v5_11.replace(
    title=TITLES["atomic-unless"][0], config=of("atomic-unless")
)
qi_zheng_v3 = v5_11.replace(
    title=TITLES["qi-zheng-v3"][0],
    threads=[*v5_11.threads, agent(rcu_core, cpu=0)],
    config=of("qi-zheng-v3"),
)
percpu_ref = v5_11.replace(
    title=TITLES["percpu-ref"][0],
    threads=[*v5_11.threads, agent(rcu_core, cpu=0)],
    config=of("percpu-ref"),
)
scan = v5_11.replace(title=TITLES["scan"][0], config=of("scan"))
