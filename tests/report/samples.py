"""Executions made by hand, so that reports are tested without a search."""

from __future__ import annotations

from pagerace.report.execution import (
    Claim,
    Event,
    Execution,
    Frame,
    Process,
    Search,
    Step,
    Violation,
    Where,
)


def event(
    kind: str, path: str, object: str = "", old: str = "", new: str = "", text: str = ""
) -> Event:
    """An event in the last function of ``path``: ``outer:12 inner`` (12 calls inner)."""
    *outer, inner = path.split()
    function, _, line = inner.partition(":")
    stack = [
        Frame(name, "mm.py", int(at or 1)) for name, _, at in (o.partition(":") for o in outer)
    ]
    where = Where("mm.py", int(line or 1), 4, 12, function, stack)
    return Event(kind, where, object, old, new, text)


def madvise_against_numa() -> Execution:
    """The race of MADV_DONTNEED with NUMA balancing, as in the specification."""
    change = "change_huge_pmd"
    clear = "change_huge_pmd:7 pmdp_huge_get_and_clear"
    install = "change_huge_pmd:9 set_pmd_at"
    zap = "madvise_dontneed:3 zap_pmd_range"
    test = f"{zap}:5 pmd_trans_huge"
    return Execution(
        tool="pagerace 0.1.0",
        protocol=Claim("dontneed_vs_numa", "numa.py", 80, expect="dontneed_unmaps"),
        verdict="violated",
        violation=Violation(
            "mapping-survives",
            "dontneed_unmaps",
            "range is still mapped",
            "numa.py",
            58,
            4,
            ["madvise_dontneed", "change_huge_pmd"],
        ),
        processes=[
            Process(0, "madvise_dontneed", "0", 0),
            Process(1, "change_huge_pmd", "1", 1),
        ],
        steps=[
            Step(
                1,
                [],
                [
                    event("call", f"{change}:7", text="pmdp_huge_get_and_clear(pmd)"),
                    event("load", clear, "pmd", "0x8e7", "0x8e7"),
                    event("store", clear, "pmd", "0x8e7", "0"),
                    event("return", clear),
                    event("call", f"{change}:9", text="set_pmd_at(pmd, newprot)"),
                ],
            ),
            Step(
                0,
                [],
                [
                    event("call", "madvise_dontneed:3", text="zap_pmd_range"),
                    event("call", f"{zap}:5", text="pmd_trans_huge(*pmd)"),
                    event("load", test, "pmd", "0", "0"),
                    event("return", test, new="false"),
                    event("trace", zap, text="pmd is skipped"),
                    event("return", zap),
                ],
            ),
            Step(
                1,
                [],
                [
                    event("store", install, "pmd", "0", "0x8e5"),
                    event("trace", install, text="pmd is re-established"),
                    event("return", install),
                    event("return", change),
                ],
            ),
            Step(0, [], [event("return", "madvise_dontneed", new="0")]),
        ],
        schedule="1:1,0:1,1:1,0:1",
        switches=2,
        why=[
            "CPU0 read pmd == 0 between CPU1's clear and set.",
            "If CPU1 runs both without CPU0 in between, the property holds "
            "(nearest passing execution).",
        ],
        bounds={"CPUs": "2", "pmds": "1", "switches": "unbounded", "order": "sc"},
        search=Search(1204, 3210, 4, 0.02),
    )


def three_cpus() -> Execution:
    """A lost write: three CPUs, and an agent of the hardware on one of them."""
    return Execution(
        tool="pagerace 0.1.0",
        protocol=Claim("v6_0", "t4_lost_write.py", 12, expect="no_lost_write"),
        verdict="violated",
        violation=Violation(
            "no-lost-write",
            "no_lost_write",
            "a store is neither in memory nor on disk",
            "t4_lost_write.py",
            58,
            4,
            ["user_store", "folio_mkclean"],
            watched=["ptes[0]", "pages[1].dirty", "pages[1].data", "expected"],
        ),
        processes=[
            Process(0, "munmap", "0", 0),
            Process(1, "writeback", "1", 1),
            Process(2, "user_store", "2", 2),
            Process(3, "tlb_evict", "2.tlb_evict", 2, agent=True),
        ],
        steps=[
            *_zap(),
            *_writeback(),
            Step(2, [], [event("store", "user_store", "pages[1].data", "1", "2")]),
            Step(3, [1], [event("store", "tlb_agent", "tlb[2].entry", "pfn 1 writable", "0")]),
            Step(2, [], [event("store", "user_store", "expected", "1", "2")]),
        ],
        schedule="0:3,1:2,2:1,2.tlb_evict:1?1,2:1",
        switches=4,
        bounds={"CPUs": "3", "pages": "2", "order": "sc"},
        search=Search(48212, 131870, 8, 0.81),
    )


def _zap() -> list[Step]:
    """CPU0 clears the PTE under its lock and removes the rmap."""
    path = "munmap:4 zap_pte_range"
    lock, clear = f"{path}:3 spin_lock", f"{path}:5 ptep_get_and_clear"
    dirty = "pfn 1 present writable dirty"
    locking = [
        event("call", f"{path}:3", text="spin_lock(ptl)"),
        event("load", lock, "ptl.locked", "0", "0"),
        event("wait", lock),
        event("store", lock, "ptl.locked", "0", "1"),
        event("lock", lock, text="ptl"),
        event("return", lock),
    ]
    clearing = [
        event("call", f"{path}:5", text="ptep_get_and_clear(pte)"),
        event("store", clear, "ptes[0]", dirty, "0"),
        event("return", clear, new=dirty),
    ]
    removing = [
        event("call", f"{path}:8", text="page_remove_rmap(page)"),
        event("store", f"{path}:8 page_remove_rmap", "pages[1].mapcount", "1", "0"),
    ]
    return [Step(0, [], locking), Step(0, [], clearing), Step(0, [], removing)]


def _writeback() -> list[Step]:
    """CPU1 finds the page unmapped and takes it for clean."""
    path = "writeback:9 folio_mkclean"
    testing = [
        event("call", f"{path}:2", text="folio_mapped(folio)"),
        event("load", f"{path}:2 folio_mapped", "pages[1].mapcount", "0", "0"),
        event("return", f"{path}:2 folio_mapped", new="false"),
        event("trace", path, text="not mapped: the PTL is not taken"),
    ]
    clearing = [event("store", "writeback", "pages[1].dirty", "true", "false")]
    return [Step(1, [], testing), Step(1, [], clearing)]


def deadlock() -> Execution:
    """Two locks taken in both orders by two threads."""
    return Execution(
        tool="pagerace 0.1.0",
        protocol=Claim("abba", "abba.py", 30, expect="deadlock"),
        verdict="violated",
        violation=Violation("deadlock", functions=["first", "second"]),
        processes=[Process(0, "first", "0", 0), Process(1, "second", "1", 1)],
        steps=[
            Step(0, [], [event("store", "first:3 spin_lock", "a.locked", "0", "1")]),
            Step(1, [], [event("store", "second:3 spin_lock", "b.locked", "0", "1")]),
        ],
        schedule="0:1,1:1",
        switches=1,
        bounds={"CPUs": "2", "order": "sc"},
        search=Search(9, 12, 2, 0.001),
    )


def many_cpus() -> Execution:
    """Six CPUs that each increment a counter: too many for columns side by side."""
    steps: list[Step] = []
    for cpu in range(6):
        value = event("load", f"cpu_up:{cpu} increment", "count", "0", "0")
        steps.append(Step(cpu, [], [value]))
    steps.append(Step(5, [], [event("store", "cpu_up:5 increment", "count", "0", "1")]))
    return Execution(
        protocol=Claim("six", "six.py"),
        verdict="violated",
        violation=Violation("assert", text="count is 1", file="six.py", line=4, column=0),
        processes=[Process(cpu, "cpu_up", str(cpu), cpu) for cpu in range(6)],
        steps=steps,
        schedule="0:1,1:1,2:1,3:1,4:1,5:2",
        switches=5,
    )


def two_lockers() -> Execution:
    """A counter that two CPUs increment under a lock: nothing goes wrong."""
    steps: list[Step] = []
    for cpu in range(2):
        lock, unlock = f"inc_{cpu}:3 spin_lock", f"inc_{cpu}:5 spin_unlock"
        steps += [
            Step(
                cpu,
                [],
                [
                    event("call", f"inc_{cpu}:3", text="spin_lock(ptl)"),
                    event("load", lock, "ptl.locked", "false", "false"),
                    event("wait", lock),
                    event("store", lock, "ptl.locked", "false", "true"),
                    event("return", lock),
                ],
            ),
            Step(cpu, [], [event("load", f"inc_{cpu}:4", "count", str(cpu), str(cpu))]),
            Step(cpu, [], [event("store", f"inc_{cpu}:4", "count", str(cpu), str(cpu + 1))]),
            Step(
                cpu,
                [],
                [
                    event("call", f"inc_{cpu}:5", text="spin_unlock(ptl)"),
                    event("store", unlock, "ptl.locked", "true", "false"),
                    event("return", unlock),
                ],
            ),
        ]
    return Execution(
        protocol=Claim("locked", "locked.py"),
        verdict="holds",
        processes=[Process(cpu, f"inc_{cpu}", str(cpu), cpu) for cpu in range(2)],
        steps=steps,
        schedule="0:4,1:4",
        switches=1,
    )
