"""pagewalk.py: VMAs, files, the locks that a walk wants, and who installs PTEs."""

from __future__ import annotations

import pytest

from pagerace.machine.memory import Machine, ulong
from pagerace.machine.tables import (
    pmd_leaf,
    pmdp_get,
)
from pagerace.mm.errno import EINVAL
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import Vma, mms
from pagerace.mm.mman import VM_HUGETLB, VM_PFNMAP
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.mmap_lock import (
    mmap_write_lock,
    mmap_write_unlock,
)
from pagerace.mm.pagewalk import (
    walk_page_mapping,
    walk_page_range,
    walk_page_range_novma,
    walk_page_range_vma,
    walk_page_vma,
)
from pagerace.mm.pagewalk_ops import (
    WALKERS,
    Pagewalk,
)
from pagerace.mm.pagewalk_tables import addr_end
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.sched import tasks
from pagerace.protocols._shared_file import Start, mapping
from tests.mm.files import map_file
from tests.mm.files import mm as file_mm
from tests.mm.processes import machine, mmap, store
from tests.mm.walkers import (
    ALL_PAGES,
    HUGE,
    HUGETLB,
    INSTALL,
    NOBODY,
    PTES,
    VERSIONS,
    VMAS,
    WRITERS,
    answers,
    locked,
    make_huge,
    sizes,
    told,
    walked,
)


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    told.clear()
    answers.clear()


def test_a_vma_is_tested_and_enclosed() -> None:
    with machine(sizes(2)):
        mmap(0, 2)
        mmap(4, 2)
        assert store(0, 0)
        assert walked(VMAS, 0, 6) == 0
        assert [what for what, _, _ in told] == [
            "test", "pre", "present", "empty", "post", "test", "pre", "empty", "empty", "post"
        ]  # fmt: skip


@pytest.mark.parametrize(("answer", "result"), [(1, 0), (-5, -5)])
def test_a_vma_that_is_left_out(answer: int, result: int) -> None:
    with machine(sizes(2)):
        mmap(0, 2)
        answers["test"] = answer
        assert walked(VMAS, 0, 2) == result
        assert told == [("test", 0, 2)]


def test_post_vma_is_called_after_an_error_and_pre_vma_can_make_one() -> None:
    with machine(sizes(2)):
        mmap(0, 2)
        assert store(0, 0)
        answers["pte", 0] = -3
        assert walked(VMAS, 0, 2) == -3
        assert told[-1][0] == "post"
        told.clear()
        answers["pre"] = -4
        assert walked(VMAS, 0, 2) == -4
        assert told[-1][0] == "pre"


def test_who_sees_no_struct_page() -> None:
    with machine(sizes(2)):
        mmap(0, 2)
        assert store(0, 0)
        vma = vma_lookup(mms[0], 0)
        assert vma is not None
        vma.vm_flags |= VM_PFNMAP
        assert walked(PTES, 0, 2) == 0
        assert told == [("hole -1", 0, 2)]


def test_hugetlb() -> None:
    with machine(sizes(3, **HUGE)):
        mmap(0, 8)
        make_huge(0)
        vma = vma_lookup(mms[0], 0)
        assert vma is not None
        vma.vm_flags |= VM_HUGETLB
        assert walked(HUGETLB, 0, 8) == 0
        assert told == [("hugetlb", 0, 4), ("hole -1", 4, 8)]
        told.clear()
        assert walked(PTES, 0, 8) == 0
        assert told == []


def test_one_vma() -> None:
    with machine(sizes(2)):
        mmap(2, 4)
        vma = vma_lookup(mms[0], 2)
        assert vma is not None
        assert store(0, 3)
        with locked(mms[0]):
            assert walk_page_vma(vma, PTES) == 0
            assert [addr for _, addr, _ in told] == [2, 3, 4, 5]
            told.clear()
            assert walk_page_range_vma(vma, 3, 5, PTES) == 0
            assert [addr for _, addr, _ in told] == [3, 4]
            assert walk_page_range_vma(vma, 3, 7, PTES) == -EINVAL
            assert walk_page_range_vma(vma, 1, 3, PTES) == -EINVAL
            assert walk_page_range(mms[0], 3, 3, PTES) == -EINVAL


def test_a_walk_that_knows_no_vma_takes_no_lock() -> None:
    with machine(sizes(2)):
        mmap(2, 4)
        assert store(0, 3)
        answers["locked"] = False
        assert walk_page_range_novma(mms[0], 0, 16, PTES) == 0
        assert ("present", 3, 4) in told
        assert {page for _, addr, next in told for page in range(addr, next)} == ALL_PAGES


def test_nobody_is_called() -> None:
    with machine(sizes(2)):
        mmap(2, 4)
        assert store(0, 3)
        assert walked(NOBODY) == 0
        assert told == []


@pytest.mark.parametrize("levels", [2, 5])
def test_tables_and_ptes_are_installed(levels: int) -> None:
    with machine(sizes(levels)):
        mmap(0, 4)
        assert store(0, 1)
        assert walked(INSTALL, 0, 4) == 0
        assert [addr for _, addr, _ in told] == [0, 2, 3]
        told.clear()
        assert walked(PTES, 0, 4) == 0
        assert [what for what, _, _ in told] == ["present"] * 4


def test_who_installs_splits_nothing() -> None:
    with machine(sizes(3, **HUGE)):
        mmap(0, 4)
        pmd = make_huge(0)
        assert walked(INSTALL, 0, 4) == 0
        assert told == [] and pmd_leaf(pmdp_get(pmd))


def test_locks_that_a_walk_wants() -> None:
    with machine(sizes(2)):
        mmap(0, 4)
        with pytest.raises(AssertionError, match="a lock is not held"):
            walk_page_range(mms[0], 0, 4, PTES)
        with locked(mms[0]), pytest.raises(AssertionError, match="mmap_lock for writing"):
            walk_page_range(mms[0], 0, 4, WRITERS)
        mmap_write_lock(mms[0])
        assert walk_page_range(mms[0], 0, 4, WRITERS) == 0
        mmap_write_unlock(mms[0])


def test_pages_of_a_file_wherever_they_are_mapped() -> None:
    map_file(Start.READ)
    with pytest.raises(AssertionError, match="a lock is not held"):
        walk_page_mapping(mapping, 0, 1, PTES)
    down_read(mapping.i_mmap_rwsem)
    assert walk_page_mapping(mapping, 0, 1, PTES) == 0
    pages = [addr for what, addr, _ in told if what == "present"]
    assert len(pages) == 1
    told.clear()
    assert walk_page_mapping(mapping, Machine.pages, 1, PTES) == 0
    assert told == []
    up_read(mapping.i_mmap_rwsem)
    assert tasks.current.held_locks & 1 << LockClass.I_MMAP_RWSEM == 0
    assert not Vma.flags and file_mm is not None


def test_the_end_of_the_address_space_is_0() -> None:
    with machine(sizes(2, address_bits=4)):
        assert addr_end(2, ulong(3), ulong(0)) == 8
        assert addr_end(2, ulong(9), ulong(0)) == 0
        assert addr_end(2, ulong(9), ulong(12)) == 12


def test_the_versions_are_there() -> None:
    assert {"V5_4", "V4_FALLBACK", "LINUS_ZERO", "POSITIVE_HANDLED", "RETRY"} <= set(VERSIONS)
    for configs in WALKERS.values():
        assert isinstance(configs[0], Pagewalk)
