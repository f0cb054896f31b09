"""khugepaged.py: a table gives way to a huge page, and others are in it.

A huge page has one page here, or two: what matters is that a table goes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang import Struct, agent, protocol, thread
from pagerace.lang.flow import WouldBlock
from pagerace.lang.protocol import Protocol, Thread
from pagerace.lang.structures import Config
from pagerace.machine.arch import Arch
from pagerace.machine.device import Device, device_walks
from pagerace.machine.memory import Machine, frames, pfn_t
from pagerace.machine.pgtable import pfn_pte, pte_t, set_pte
from pagerace.machine.tables import (
    PteTables,
    page_tables,
    pmd_none,
    pmd_page_vaddr,
    pmd_pfn,
    pmd_trans_huge,
    pmdp_get,
)
from pagerace.mm import gup, khugepaged
from pagerace.mm.anon import Anon, mk_anon_pte, page_add_new_anon_rmap
from pagerace.mm.anon_vma import anon_vma_alloc
from pagerace.mm.gup import lockless_pages_from_mm, page_lists
from pagerace.mm.khugepaged import (
    V6_5,
    V6_6,
    Khugepaged,
    khugepaged_collapse_pte_mapped_thp,
    retract_page_tables,
)
from pagerace.mm.khugepaged_anon import collapse_huge_page
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import (
    address_space,
    anon_vma_rwsems,
    mem_map,
    mm_struct,
    page_to_pfn,
    pmd_t,
    vm_area_cachep,
)
from pagerace.mm.mmap import mmap_region
from pagerace.mm.mmu_notifier import MmuNotifier, mmu_notifier_register
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_get, folio_mapcount, folio_ref_count
from pagerace.mm.pgalloc import __pte_alloc_one, pgd_alloc, pmd_populate
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_levels import init_page_table_locks
from pagerace.mm.rmap import page_add_file_rmap
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.sched import tasks
from pagerace.mm.tlb import sysvec_call_function
from pagerace.mm.truncate import unmap_mapping_range
from pagerace.search import check
from tests.kernel import fresh_machine, reset

mm = mm_struct()
mapping = address_space()

MACHINE = Machine(cpus=2, frames=3, tables=2, huge_pages=True)
CONFIG = [MACHINE, PteTables(come_and_go=True, nr_ptes=True)]
# arm64 broadcasts its flushes: no walker without a lock is waited for.
BROADCAST = MACHINE.replace(arch=Arch.ARM64)


@pytest.fixture(autouse=True)
def interrupts() -> None:
    """In these checks agents answer interrupts: the machine is as it is, and new."""
    reset(mm)
    reset(mapping)


class seen(Struct):
    """``pfn``: what GUP-fast has got, if ``got``."""

    got: bool
    pfn: pfn_t


found = seen()


def begin() -> None:
    """An mm with a table, which has one entry: none."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    mm.nr_ptes.counter = 1
    alloc_page()  # the zero page, or nobody's
    pmd = mm_find_pmd(mm, 0)
    table = __pte_alloc_one(mm)
    if pmd is not None and table is not None:
        pmd_populate(mm, pmd, table)


def map_pte(value: pte_t) -> None:
    """What is in the table from the start."""
    set_pte(page_tables[0].pte[0], value)


def begin_file() -> None:
    """The file is mapped, and its huge page is in the page cache, mapped nowhere."""
    begin()
    mapping.i_size = Machine.pages
    mmap_region(mm, mapping, 0, Machine.pages)
    page = alloc_page()
    if page is not None:
        page.PG_uptodate = True
        page.mapping = mapping
        mapping.i_pages[0] = page
    mmu_notifier_register(mm)


def begin_mapped() -> None:
    """The same, and a PTE maps it."""
    begin_file()
    page = mapping.i_pages[0]
    if page is not None:
        folio_get(page)
        page_add_file_rmap(page, vm_area_cachep[0])
        map_pte(pfn_pte(page_to_pfn(page), False))


def begin_anonymous() -> None:
    """A page of anonymous memory is mapped."""
    begin()
    vma = vm_area_cachep.alloc()
    page = alloc_page()
    if vma is not None and page is not None:
        vma.vm_mm = mm
        vma.vm_end = Machine.pages
        mm.mm_mt[0] = vma
        page_add_new_anon_rmap(page, vma, 0)
        map_pte(mk_anon_pte(page))
        frames[page_to_pfn(page)].content = 1


def retract() -> None:
    """Thread: the end of collapse_file()."""
    retract_page_tables(mapping, 0)


def collapse_mapped() -> None:
    """Thread: khugepaged finds a huge page that is mapped by a PTE."""
    khugepaged_collapse_pte_mapped_thp(mm, 0)


def collapse() -> None:
    """Thread: khugepaged, of anonymous memory."""
    collapse_huge_page(mm, 0)


def gup_fast() -> None:
    """Thread: get_user_pages_fast(), which keeps what it got."""
    pages = page_lists.current
    if lockless_pages_from_mm(mm, 0, 1, 0, pages) != 0:
        page = pages.page[0]
        if page is not None:
            found.pfn = page_to_pfn(page)
            found.got = True
        pages.page[0] = None
    pages.nr = 0


def unmap() -> None:
    """Thread: whoever truncates, by way of the reverse mapping."""
    unmap_mapping_range(mapping, 0)


def a_pin_is_of_what_is_mapped() -> bool:
    """T2-S6, at the end: what GUP-fast has got is what the process sees."""
    pmd = pmdp_get(entry())
    if not found.got:
        return True
    if pmd_trans_huge(pmd):
        return pmd_pfn(pmd) == found.pfn
    return pmd_page_vaddr(pmd).pte[0].value.pfn == found.pfn


def entry() -> pmd_t:
    pmd = mm_find_pmd(mm, 0)
    assert pmd is not None
    return pmd


def gone() -> bool:
    return pmd_none(pmdp_get(entry())) and not page_tables.allocated(page_tables[0])


# -- alone ---------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [V6_5, V6_6], ids=["v6.5", "v6.6"])
def test_retract_takes_the_table_away(kernel: Khugepaged) -> None:
    with fresh_machine(*CONFIG, kernel.replace(sync_one=False)):
        begin_file()
        retract()
        assert gone()
        assert mm.nr_ptes.counter == 0
        retract()  # there is none any more
        assert mm.nr_ptes.counter == 0


def test_until_v6_5_retract_leaves_a_table_whose_mmap_lock_is_held() -> None:
    with fresh_machine(*CONFIG, V6_5):
        begin_file()
        mm.mmap_lock.readers = 1
        retract()
        assert not gone()
        assert not mapping.i_mmap_rwsem.writer


@pytest.mark.parametrize("kernel", [V6_5, V6_6], ids=["v6.5", "v6.6"])
def test_a_page_that_a_pte_maps_loses_its_table(kernel: Khugepaged) -> None:
    with fresh_machine(*CONFIG, kernel.replace(sync_one=False)):
        begin_mapped()
        page = mem_map[1]
        assert (folio_ref_count(page), folio_mapcount(page)) == (2, 1)
        collapse_mapped()
        assert gone()
        assert (folio_ref_count(page), folio_mapcount(page)) == (1, 0)
        assert not page.PG_locked
        assert not mm.page_table_lock.locked


@pytest.mark.parametrize("kernel", [V6_5, V6_6], ids=["v6.5", "v6.6"])
def test_a_table_that_maps_anything_else_stays(kernel: Khugepaged) -> None:
    with fresh_machine(*CONFIG, kernel):
        begin_mapped()
        map_pte(pfn_pte(2, False))
        collapse_mapped()
        assert not gone()
        assert folio_mapcount(mem_map[1]) == 1
        assert not mem_map[1].PG_locked
        assert not mapping.i_mmap_rwsem.writer


def test_a_huge_page_has_what_the_small_one_had() -> None:
    config = Khugepaged(sync_one=False)
    with fresh_machine(*CONFIG, config, Anon(private=True)):
        begin_anonymous()
        assert collapse_huge_page(mm, 0)
        pmd = pmdp_get(entry())
        assert pmd_trans_huge(pmd)
        assert frames[pmd_pfn(pmd)].content == 1
        assert not frames.allocated(frames[1])
        assert not mm.mmap_lock.writer


def test_a_page_with_another_reference_is_put_back() -> None:
    config = Khugepaged(sync_one=False)
    with fresh_machine(*CONFIG, config, Anon(private=True)):
        begin_anonymous()
        folio_get(mem_map[1])
        assert not collapse_huge_page(mm, 0)
        assert not pmd_none(pmdp_get(entry()))
        assert not mem_map[1].PG_locked
        assert not frames.allocated(frames[2])


# -- with others -----------------------------------------------------------------------


def beside(
    walker: Thread, collapser: Callable[[], None], setup: Callable[[], None], *config: Config
) -> Protocol:
    return protocol(
        threads=[
            thread(collapser, cpu=0), walker, agent(sysvec_call_function, cpu=1),
        ],
        setup=setup,
        at_end=[a_pin_is_of_what_is_mapped] if setup is begin_anonymous else [],
        config=[*CONFIG, *config],
    )  # fmt: skip


GUP = thread(gup_fast, cpu=1)
TRUNCATE = thread(unmap, cpu=1)
DEVICE = agent(device_walks, cpu=1)
HAS_DEVICE = [Device(present=True), MmuNotifier(on=True)]
ANON = [BROADCAST, Anon(private=True), Khugepaged(sync_one=False)]

# What was wrong, what is said of it, and with what it is right.
BUGS: dict[str, tuple[str, Protocol, Config]] = {
    "a pin of what was copied": (
        "a-pin-is-of-what-is-mapped",
        beside(GUP, collapse, begin_anonymous, *ANON, gup.V6_0), gup.V6_1,
    ),
    "a table freed under GUP-fast": (
        "use-after-free",
        beside(GUP, retract, begin_file, BROADCAST, khugepaged.BEFORE_2BA99C5E0881), V6_5,
    ),
    "a table freed under an rmap walk": (
        "use-after-free",
        beside(TRUNCATE, collapse_mapped, begin_file, khugepaged.BEFORE_8D3C106E19E8), V6_5,
    ),
    "a table freed under a device": (
        "use-after-free",
        beside(DEVICE, retract, begin_file, *HAS_DEVICE, khugepaged.BEFORE_F268F6CF875F), V6_5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_before_and_after(name: str) -> None:
    slug, before, fixed = BUGS[name]
    found = check(compile_protocol(before)).violation
    assert found is not None
    assert found.slug == slug
    assert check(compile_protocol(before.replace(config=[fixed]))).verdict == "holds"


def test_nobody_looks_for_pages_that_move() -> None:
    config = Khugepaged(sync_one=False)
    with fresh_machine(*CONFIG, config, Anon(private=True)):
        begin_anonymous()
        vma = vm_area_cachep[0]
        vma.anon_vma = anon_vma_alloc()
        anon_vma_rwsems[0].writer = True
        with pytest.raises(WouldBlock):
            collapse_huge_page(mm, 0)
    with fresh_machine(*CONFIG, config, Anon(private=True)):
        reset(mm)
        begin_anonymous()
        vm_area_cachep[0].anon_vma = anon_vma_alloc()
        assert collapse_huge_page(mm, 0)
        assert not anon_vma_rwsems[0].writer
        assert tasks.current.held_locks == 0
