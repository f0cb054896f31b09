"""Kernels and proposals by name, for those that walk tables of PTEs and those that free them.

One name stands for all parameters that make a kernel, or a proposal, what it is: what users
type, what ``pagerace compare`` puts in its rows, what claims are made about.  A proposal is
the kernel of its time with one thing changed.
"""

from __future__ import annotations

from pagerace.lang import Config
from pagerace.mm import fault_around, gup, mmu_gather, table_walk
from pagerace.mm.rcupdate import Rcu

_V5_11 = (fault_around.V5_10, gup.V6_0, mmu_gather.V6_0)
_V6_1 = (fault_around.V5_12, gup.V6_1, mmu_gather.V6_0)
_V6_5 = (fault_around.V6_6, gup.V6_1, mmu_gather.V6_2)
_V6_14 = (fault_around.V6_7, gup.V6_1, mmu_gather.V6_2)
# The fix of v6.7 is in proposals, too: without it a fault dereferences NULL (T1).
_PROPOSED = (fault_around.V6_7, gup.V6_1, mmu_gather.V6_0)

VARIANTS: dict[str, tuple[Config, ...]] = {
    "v5.11": (table_walk.V5_11, *_V5_11),
    "v6.1": (table_walk.V5_11, *_V6_1),
    "v6.5": (table_walk.V6_5, *_V6_5),
    "v6.14-first": (table_walk.V6_14_FIRST, *_V6_14),
    "v6.14": (table_walk.V6_14, *_V6_14),
}

for _name, _walk in {
    "naive": table_walk.NAIVE,
    "qi-zheng-v3": table_walk.QI_ZHENG_V3,
    "percpu-ref": table_walk.PERCPU_REF,
    "scan": table_walk.SCAN,
    "mm-rwsem": table_walk.MM_RWSEM,
    "pmd-rwsem": table_walk.PMD_RWSEM,
    "pmd-rwsem-hashed": table_walk.PMD_RWSEM_HASHED,
    "read-or-ptl": table_walk.READ_OR_PTL,
    "red-blue": table_walk.RED_BLUE,
    "atomic-unless": table_walk.ATOMIC_UNLESS,
}.items():
    VARIANTS[_name] = (_walk, *_PROPOSED)
# What is freed by the last reference is freed by RCU: rcu_core() of mm/rcu_callbacks.py.
VARIANTS["qi-zheng-v3"] += (Rcu(callbacks=True),)
VARIANTS["percpu-ref"] += (Rcu(callbacks=True),)

# What a variant is, and where it comes from: for headings, and for those who ask.
TITLES: dict[str, tuple[str, str]] = {
    "v5.11": ("tables stay; GUP-fast looks at the PTE again", "v5.11"),
    "v6.1": ("tables stay; GUP-fast looks at the PMD entry, too", "70cbc3cc78a9"),
    "v6.5": ("pte_offset_map_lock() may find no table; RCU", "0d940a9b270b"),
    "v6.14-first": ("a zap frees what it believes to be empty", "6375e95f381e"),
    "v6.14": ("a zap frees what it has looked at again", "v6.14, fixed"),
    "naive": ("a zap frees an empty table at once", "no kernel"),
    "qi-zheng-v3": ("a reference for each PTE, and walker", "Qi Zheng, v3, 10 Nov 2021"),
    "percpu-ref": ("references that CPUs count alone", "Qi Zheng, 29 Apr 2022"),
    "scan": ("somebody looks for empty tables", "David Hildenbrand, Nov 2021"),
    "mm-rwsem": ("a lock of the mm for its tables", "Jason Gunthorpe, 10 Nov 2021"),
    "pmd-rwsem": ("a lock of each PMD entry", "Jason Gunthorpe, 10 Nov 2021"),
    "pmd-rwsem-hashed": ("a lock of PMD entries of one hash", "Jason Gunthorpe, 10 Nov 2021"),
    "read-or-ptl": ("a lock of the mm, until the PTL is held", "Jason Gunthorpe, Nov 2021"),
    "red-blue": ("a lock of two colours", "Matthew Wilcox, Nov 2021"),
    "atomic-unless": ("a counter that nobody waits for", "Jason Gunthorpe, Nov 2021"),
}


def with_window(name: str, fault_around_bytes: int) -> tuple[Config, ...]:
    """A variant whose faults look around in a window of another size: 4096 is the page."""
    return tuple(
        config.replace(fault_around_bytes=fault_around_bytes)
        if isinstance(config, fault_around.FaultAround)
        else config
        for config in VARIANTS[name]
    )
