"""machine/tlb_sets.py: hits, misses and walks counted by hand, and beside a model."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagerace.compiler.ir import Load, Store
from pagerace.compiler.program import compile_protocol
from pagerace.compiler.running import Running
from pagerace.machine.arch import Arch
from pagerace.machine.counters import counters
from pagerace.machine.memory import Machine, frames
from pagerace.machine.tlb_sets import Tlb
from pagerace.protocols import t4_dontneed
from tests.machine import full_size
from tests.machine.tlb_model import LEVELS, Model

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed"
)

SMALL = {
    "l1_sets": 2, "l1_ways": 2, "l1_huge_sets": 1, "l1_huge_ways": 2, "l1i_sets": 1,
    "l1i_ways": 4, "l1i_huge_sets": 1, "l1i_huge_ways": 1, "l2_sets": 2, "l2_ways": 3,
    "pde": 2, "pdpte": 2, "pml4e": 1,
}  # fmt: skip
HUGE = 1 << 9
FAR = 1 << 27  # pages that an entry of the top table covers


class Kernel:
    """Calls by name; ``counted``: as machine/counters.py has it."""

    def __init__(self, sizes: Tlb, machine: Machine = full_size.FULL_SIZE) -> None:
        self.running = Running(full_size.FUNCTIONS, [*full_size.CONFIG, machine, sizes])

    def begin(self) -> None:
        self.running.reset()
        self.running.processor = 0
        self(full_size.set_up)

    def __call__(self, function: Callable[..., object], *arguments: int) -> int:
        return self.running.call(function, *arguments)

    def counted(self, name: str, *index: int) -> int:
        return self.running.get(counters, name, *index)

    def loaded(self) -> list[int]:
        """Entries that walks loaded, from the PTEs up."""
        return [self.counted("walk_references", level) for level in range(1, LEVELS + 1)]


@pytest.fixture(scope="module")
def skylake() -> Kernel:
    return Kernel(Tlb())


@pytest.fixture(scope="module")
def small() -> Kernel:
    return Kernel(Tlb(**SMALL))


@pytest.fixture
def kernel(skylake: Kernel) -> Kernel:
    skylake.begin()
    return skylake


def misses(kernel: Kernel) -> tuple[int, int]:
    """(found in the second level, found nowhere)."""
    return kernel.counted("l2_hits"), kernel.counted("tlb_misses")


def test_a_first_access_walks_all_levels_and_a_second_none(kernel: Kernel) -> None:
    kernel(full_size.map_page, 0, 7)
    assert kernel(full_size.read, 0)
    assert misses(kernel) == (0, 1)
    assert kernel.loaded() == [1, 1, 1, 1]
    assert kernel.counted("accessed_set") == 1
    assert kernel(full_size.read, 0)
    assert kernel(full_size.write, 0)
    assert kernel(full_size.write, 0)
    assert (misses(kernel), kernel.loaded()) == ((0, 1), [1, 1, 1, 1])
    assert kernel.counted("accesses") == 4
    assert kernel.counted("dirty_set") == 1
    assert kernel.running.get((frames, 7), "content") == 2


@pytest.mark.parametrize(
    ("distance", "loaded"),
    [
        (1, [2, 1, 1, 1]),
        (HUGE, [2, 2, 1, 1]),
        (1 << 18, [2, 2, 2, 1]),
        (FAR, [2, 2, 2, 2]),
    ],
)
def test_what_two_pages_have_in_common_is_walked_once(
    kernel: Kernel, distance: int, loaded: list[int]
) -> None:
    for page in (0, distance):
        kernel(full_size.map_page, page, 7)
        assert kernel(full_size.read, page)
    assert kernel.loaded() == loaded
    saved = [kernel.counted("walk_saved", level) for level in range(1, LEVELS + 1)]
    assert [a + b for a, b in zip(loaded, saved, strict=True)] == [2] * LEVELS


def test_the_second_level_has_what_the_first_has_no_room_for(kernel: Kernel) -> None:
    for page in range(0, 5 * 16, 16):  # of one set of four ways
        kernel(full_size.map_page, page, 7)
        kernel(full_size.read, page)
    assert misses(kernel) == (0, 5)
    assert kernel(full_size.read, 64)
    assert misses(kernel) == (0, 5)
    assert kernel(full_size.read, 0)  # the one that was used least lately
    assert misses(kernel) == (1, 5)


def test_the_second_level_is_as_large_as_it_says(kernel: Kernel) -> None:
    pages = 128 * 12
    for page in range(pages + 128):
        kernel(full_size.map_page, page, 7)
    for _ in range(2):
        for page in range(pages):
            kernel(full_size.read, page)
    assert misses(kernel) == (pages, pages)
    for page in range(pages, pages + 128):
        kernel(full_size.read, page)
    kernel(full_size.read, 0)
    assert misses(kernel) == (pages, pages + 129)


def test_one_entry_translates_a_huge_page(kernel: Kernel) -> None:
    kernel(full_size.map_huge, HUGE, 512)
    for page in range(HUGE, 2 * HUGE, 37):
        assert kernel(full_size.write, page)
        assert kernel.running.get((frames, 512 + page - HUGE), "content") == 1
    assert misses(kernel) == (0, 1)
    assert kernel.loaded() == [0, 1, 1, 1]
    assert kernel.counted("dirty_set") == 1


@pytest.mark.parametrize("pages", [1, 40])
@pytest.mark.parametrize("huge", [False, True])
@pytest.mark.parametrize("access", [full_size.read, full_size.write, full_size.execute])
def test_after_a_flush_nothing_stale_is_used(
    kernel: Kernel, access: Callable[[int], bool], huge: bool, pages: int
) -> None:
    """Nor is any table that was on the way."""
    kernel(full_size.map_huge if huge else full_size.map_page, HUGE, 512)
    assert kernel(access, HUGE)
    kernel(full_size.unmap_huge if huge else full_size.unmap, HUGE)
    assert kernel(access, HUGE)
    kernel(full_size.flush, HUGE, HUGE + pages)
    assert not kernel(access, HUGE)


def test_a_store_through_what_the_second_level_kept_is_dirty_already(kernel: Kernel) -> None:
    kernel(full_size.map_page, 0, 7)
    kernel(full_size.write, 0)
    for page in range(16, 5 * 16, 16):
        kernel(full_size.map_page, page, 7)
        kernel(full_size.read, page)
    assert misses(kernel) == (0, 5)
    kernel(full_size.write, 0)
    assert misses(kernel) == (1, 5)
    assert kernel.counted("dirty_set") == 1


def test_code_and_data_are_apart_in_the_first_level(kernel: Kernel) -> None:
    kernel(full_size.map_page, 0, 7)
    assert kernel(full_size.execute, 0)
    assert kernel(full_size.read, 0)
    assert misses(kernel) == (1, 1)
    assert kernel(full_size.execute, 0)
    assert misses(kernel) == (1, 1)


def test_a_fault_is_told(kernel: Kernel) -> None:
    for access in (full_size.read, full_size.write, full_size.execute):
        assert not kernel(access, 5)
    kernel(full_size.map_page, 5, 7)
    assert kernel(full_size.read, 5)
    assert kernel.counted("accesses") == 4


def test_a_switch_forgets_and_coming_back_to_the_same_does_not(kernel: Kernel) -> None:
    kernel(full_size.map_page, 0, 7)
    kernel(full_size.read, 0)
    kernel(full_size.run_here)
    kernel(full_size.read, 0)
    assert misses(kernel) == (0, 1)
    kernel(full_size.run_other)
    assert not kernel(full_size.read, 0)
    kernel(full_size.run_here)
    assert kernel(full_size.read, 0)
    assert misses(kernel) == (0, 3)
    assert kernel.counted("cr3_writes") == 3


def test_a_flush_interrupts_the_cpus_that_run_the_mm_and_no_other(kernel: Kernel) -> None:
    kernel(full_size.map_page, 0, 7)
    for cpu in (0, 1, 2):
        kernel.running.processor = cpu
        kernel(full_size.run_here)
        kernel(full_size.read, 0)
    kernel(full_size.run_other)
    kernel.running.processor = 0
    kernel(full_size.unmap, 0)
    assert kernel(full_size.read, 0)  # stale, as nobody has flushed
    kernel(full_size.flush, 0, 1)
    assert [kernel.counted(name) for name in ("ipis_sent", "ipis_handled")] == [1, 1]
    assert [kernel.counted(f"flushes_{what}") for what in ("page", "range", "all")] == [2, 0, 0]
    for cpu in (0, 1):
        kernel.running.processor = cpu
        assert not kernel(full_size.read, 0)


@pytest.mark.parametrize(("pages", "kind"), [(1, 0), (2, 1), (33, 1), (34, 2)])
def test_more_than_33_pages_are_flushed_as_all(kernel: Kernel, pages: int, kind: int) -> None:
    kernel(full_size.flush, 100, 100 + pages)
    kinds = [kernel.counted(f"flushes_{what}") for what in ("page", "range", "all")]
    assert kinds == [int(n == kind) for n in range(3)]
    assert kernel.counted("pages_flushed") == (0 if kind == 2 else pages)


def test_tables_are_counted_as_they_come_and_go(kernel: Kernel) -> None:
    for page in (0, 1, HUGE, FAR):
        kernel(full_size.map_page, page, 7)
    allocated = [kernel.counted("tables_allocated", n) for n in range(1, LEVELS + 1)]
    assert allocated == [3, 2, 2, 2]  # two top tables: the set-up makes them
    kernel(full_size.free_tables, 0, 2 * FAR)
    freed = [kernel.counted("tables_freed", n) for n in range(1, LEVELS + 1)]
    assert freed == [3, 2, 2, 0]
    assert not kernel(full_size.read, 0)


def test_a_page_that_was_mapped_beside_a_fault_is_used_once(kernel: Kernel) -> None:
    for page in (0, 1):
        kernel(full_size.map_page, page, 7)
    kernel(full_size.prefault, 0)
    kernel(full_size.read, 1)
    assert kernel.counted("around_used") == 0
    kernel(full_size.read, 0)
    kernel(full_size.forget_page, 0)
    kernel(full_size.write, 0)
    assert kernel.counted("around_used") == 1


def test_a_check_counts_nothing() -> None:
    """What it compiles to touches no counter, and has no place for one in a state."""
    program = compile_protocol(t4_dontneed.nested)
    accessed = {
        statement.family.name
        for process in program.processes
        for block in process.code.blocks
        for statement in block.instructions
        if isinstance(statement, (Load, Store))
    }
    assert "pte_slot.value" in accessed
    assert not any(name.startswith("counters_t") for name in accessed)


def test_five_levels_are_walked() -> None:
    five = full_size.FULL_SIZE.replace(levels=5, pages=1 << 45)
    kernel = Kernel(Tlb(), five)
    kernel.begin()
    for page in (0, 1, 1 << 36):
        kernel(full_size.map_page, page, 7)
        assert kernel(full_size.read, page)
    loaded = [kernel.counted("walk_references", level) for level in range(1, 6)]
    assert loaded == [3, 2, 2, 2, 2]


@pytest.mark.parametrize("arch", [Arch.ARM64_AFDBM, Arch.S390])
def test_machines_that_interrupt_nobody_forget_too(arch: Arch) -> None:
    """By broadcast, and by the instruction that takes the entry away."""
    kernel = Kernel(Tlb(), full_size.FULL_SIZE.replace(arch=arch))
    kernel.begin()
    kernel(full_size.map_page, 0, 7)
    kernel(full_size.make_young, 0)
    for cpu in (0, 1):
        kernel.running.processor = cpu
        kernel(full_size.run_here)
        assert kernel(full_size.read, 0)
    kernel(full_size.clear_and_flush, 0)
    for cpu in (0, 1):
        kernel.running.processor = cpu
        assert not kernel(full_size.read, 0)
    assert kernel.counted("ipis_sent") == 0


# -- beside the model -------------------------------------------------------------

PAGES = st.sampled_from([0, 1, 2, 4, 6, HUGE, 3 * HUGE, 1 << 18, FAR, FAR + 8])
HUGE_PAGES = st.sampled_from([4 * HUGE, 5 * HUGE, FAR + HUGE])
INSIDE = st.sampled_from([n + i for n in (4 * HUGE, 5 * HUGE, FAR + HUGE) for i in (0, 9)])
ANY_PAGE = st.one_of(PAGES, INSIDE)
STEPS = st.one_of(
    st.tuples(st.just("map_page"), PAGES),
    st.tuples(st.just("map_huge"), HUGE_PAGES),
    st.tuples(st.sampled_from(["read", "write", "execute"]), ANY_PAGE),
    st.tuples(st.sampled_from(["read", "write", "execute"]), ANY_PAGE),
    st.tuples(st.just("unmap_and_flush"), PAGES),
    st.tuples(st.just("unmap_huge_and_flush"), HUGE_PAGES),
    st.tuples(st.just("flush"), ANY_PAGE, st.sampled_from([1, 3, 40])),
    st.tuples(st.just("forget_page"), ANY_PAGE),
    st.tuples(st.just("forget_everything")),
)


def both(kernel: Kernel, model: Model, step: tuple[str, *tuple[int, ...]]) -> None:
    """Do a step here and there; an access ends alike."""
    name, *rest = step
    page = rest[0] if rest else 0
    if name == "map_page" and page not in model.pages:
        kernel(full_size.map_page, page, 7)
        model.map_page(page)
    elif name == "map_huge" and page // HUGE not in model.huge:
        kernel(full_size.map_huge, page, 1024)
        model.map_huge(page)
    elif name in ("read", "write", "execute"):
        done = kernel(getattr(full_size, name), page)
        side = "code" if name == "execute" else "data"
        assert bool(done) == model.access(page, side, name == "write")
        assert bool(done) == (page in model.pages or page // HUGE in model.huge)
    elif name == "unmap_and_flush" and page in model.pages:
        kernel(full_size.unmap, page)
        kernel(full_size.flush, page, page + 1)
        del model.pages[page]
        model.flush(page, page + 1)
    elif name == "unmap_huge_and_flush" and page // HUGE in model.huge:
        kernel(full_size.unmap_huge, page)
        kernel(full_size.flush, page, page + 1)
        del model.huge[page // HUGE]
        model.flush(page, page + 1)
    elif name == "flush":
        kernel(full_size.flush, page, page + rest[1])
        model.flush(page, page + rest[1])
    elif name == "forget_page":
        kernel(full_size.forget_page, page)
        model.invlpg(page)
    elif name == "forget_everything":
        kernel(full_size.forget_everything)
        model.flush_all()


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(STEPS, min_size=10, max_size=100))
def test_everything_is_counted_as_in_the_model(
    small: Kernel, steps: list[tuple[str, *tuple[int, ...]]]
) -> None:
    """After any flush no translation is used that is not in the tables: see both()."""
    small.begin()
    model = Model(SMALL)
    for number, step in enumerate(steps):
        both(small, model, step)
        for name in ("accesses", "l2_hits", "tlb_misses", "accessed_set", "dirty_set"):
            assert small.counted(name) == model.counts[name], (number, step, name)
        for level in range(1, LEVELS + 1):
            for name, ours in (("walk_references", "loaded"), ("walk_saved", "saved")):
                found = small.counted(name, level)
                assert found == model.counts[f"{ours} {level}"], (number, step, name, level)
