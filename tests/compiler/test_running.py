"""Kernel Python as plain calls over memory of its own, native and interpreted alike."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from typing import Any

import pytest

from pagerace.compiler import show
from pagerace.compiler.diagnostic import CompileError
from pagerace.compiler.running import KernelStopped, Running
from pagerace.lang import Config, Pool, Struct, drop, pool, u8
from pagerace.machine.memory import Machine, page_frame
from pagerace.mm.fault import user_load, user_store
from pagerace.mm.mm_types import folio, mem_map
from pagerace.mm.mmap import munmap
from pagerace.protocols import _shared_file

from . import running_samples as samples

FUNCTIONS: list[Callable[..., Any]] = [
    samples.take, samples.give, samples.push, samples.total, samples.take_lock, samples.follow,
    samples.sum_of, samples.minus, samples.pick,
]  # fmt: skip


@pytest.fixture(params=[False, True], ids=["native", "interpreted"])
def interpret(request: pytest.FixtureRequest) -> bool:
    return request.param


def running(interpret: bool, *functions: Callable[..., Any], **sizes: int) -> Running:
    config = [samples.Sizes(**sizes)]
    return Running(functions or FUNCTIONS, config, interpret=interpret)


def test_a_pool_gives_what_it_was_given_last(interpret: bool) -> None:
    kernel = running(interpret)
    assert [kernel.call(samples.take) for _ in range(6)] == [1, 2, 3, 4, 0, 0]
    for number in (2, 0, 3):
        kernel.call(samples.give, number)
    assert [kernel.call(samples.take) for _ in range(4)] == [4, 1, 3, 0]
    assert kernel.get(samples.tasks, "calls") == 10


def test_reset_makes_memory_what_it_was(interpret: bool) -> None:
    kernel = running(interpret)
    kernel.call(samples.push, kernel.call(samples.take) - 1, 5)
    kernel.set(samples.lru, "level", 3)
    kernel.reset()
    assert kernel.get(samples.lru, "level") == 7
    assert kernel.call(samples.total) == 0
    assert [kernel.call(samples.take) for _ in range(5)] == [1, 2, 3, 4, 0]


@pytest.mark.parametrize(("sizes", "expected"), [({}, 100), ({"limit": 7}, 7)])
def test_a_parameter_may_be_unset(
    sizes: dict[str, int], expected: int, interpret: bool
) -> None:
    assert running(interpret, samples.limit, **sizes).call(samples.limit) == expected


def test_cells_of_globals_pools_and_arrays(interpret: bool) -> None:
    kernel = running(interpret)
    assert kernel.get(samples.lru, "level") == 7
    for value in (5, 1 << 39, 7):
        kernel.call(samples.push, kernel.call(samples.take) - 1, value)
    assert kernel.call(samples.total) == 12 + (1 << 39)
    assert kernel.get(samples.lru, "first") == kernel.reference(samples.pages, 2)
    assert kernel.get((samples.pages, 1), "data", 2) == 1 << 39
    kernel.set((samples.pages, 1), "data", 2, -1)
    assert kernel.get((samples.page, 2), "data", 2) == (1 << 40) - 1
    flags = kernel.get((samples.pages, 0), "flags")
    assert show.value(kernel.type_of(samples.page, "flags"), flags) == "dirty order 5"
    counts = kernel.cells(samples.head, "count")
    assert list(counts) == [3]
    kernel.call(samples.push, kernel.call(samples.take) - 1, 1)
    assert list(counts) == [4]
    assert list(kernel.cells(samples.page, "data"))[2::3][:1] == [5]


def test_each_cpu_has_its_number(interpret: bool) -> None:
    kernel = running(interpret, cpus=3)
    kernel.call(samples.take)
    kernel.processor = 2
    kernel.call(samples.take_lock, 0)
    assert kernel.processor == 2
    assert [kernel.get((samples.pages, 0), "lock.holders", i) for i in range(3)] == [0, 0, 1]


def test_pointers_and_signs(interpret: bool) -> None:
    kernel = running(interpret)
    numbers = (ctypes.c_uint8 * 3)(1, 2, 250)
    assert kernel.call(samples.sum_of, ctypes.addressof(numbers), 3) == 253
    assert bytes(numbers) == bytes(3)
    assert kernel.call(samples.minus, 12) == -12


def _stopped(kernel: Running, function: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(KernelStopped) as raised:
        kernel.call(function, *arguments)
    error = raised.value
    assert error.file == samples.__file__
    assert str(error).endswith(f"in {error.function}() at {error.file}:{error.line}")
    return f"{error.slug} {error.function} {error.text}".strip()


def test_what_stops_a_kernel_says_where(interpret: bool) -> None:
    kernel = running(interpret)
    assert _stopped(kernel, samples.give, 1) == "double-free give"
    assert _stopped(kernel, samples.give, 9) == "index-out-of-range give 4"
    assert _stopped(kernel, samples.push, 1, 0) == "use-after-free push"
    assert _stopped(kernel, samples.take_lock, 3) == "use-after-free with_lock"
    assert kernel.call(samples.take) == 1
    kernel.call(samples.take_lock, 0)
    said = "deadlock with_lock nobody can end this wait"
    assert _stopped(kernel, samples.take_lock, 0) == said
    kernel.call(samples.push, 0, 1)
    assert _stopped(kernel, samples.follow, kernel.reference(samples.pages, 0)) == (
        "null-dereference follow data"
    )
    kernel.set(samples.lru, "count", 4)
    assert _stopped(kernel, samples.follow, None) == "too-many follow lru.count > 3"
    assert kernel.call(samples.pick, 3) == 0
    assert _stopped(kernel, samples.pick, 0) == "deadlock pick nobody can end this wait"
    kernel.set(samples.lru, "count", 0)
    assert kernel.call(samples.follow, None) == 1  # it goes on after all that


def test_memory_is_the_hosts_when_it_is_touched() -> None:
    kernel = running(False, pages=1 << 28)
    assert kernel.placement.bytes > 1 << 33
    assert kernel.bytes < 1 << 16
    kernel.set(samples.lru, "count", 1)
    assert kernel.call(samples.take) == 1
    kernel.call(samples.push, 0, 9)
    kernel.set((samples.pages, (1 << 28) - 1), "data", 2, 5)
    assert kernel.bytes < 1 << 16
    assert kernel.bytes_of()["page.data"] == 8192
    assert kernel.call(samples.total) == 9
    assert kernel.memory.families[0].names[0]
    names = kernel.memory.structures[samples.lock].names
    assert (names[0], names[len(names) - 1]) == ("lru.lock", f"pages[{(1 << 28) - 1}].lock")


def test_what_is_not_there_is_said() -> None:
    kernel = running(False, samples.take)
    with pytest.raises(KeyError, match="no function of these names this head"):
        kernel.get(samples.lru, "count")
    with pytest.raises(KeyError, match="page has no field 'colour'"):
        kernel.get((samples.pages, 0), "colour")
    with pytest.raises(KeyError, match="lock is a structure"):
        kernel.get((samples.pages, 0), "lock")
    with pytest.raises(IndexError, match="an index below 3 is missing"):
        kernel.get((samples.pages, 0), "data")
    with pytest.raises(IndexError, match="index 3 outside an array of 3"):
        kernel.get((samples.pages, 0), "data", 3)
    kernel.call(samples.take)
    assert kernel.bytes > 0
    kernel.close()
    assert kernel.bytes == 0
    with pytest.raises(ValueError, match="closed"):
        kernel.call(samples.take)


class Many(Config):
    count: int = 1 << 20


class preset(Struct):
    value: u8 = 1


presets: Pool[preset] = pool(preset, lambda: Many.count)


def look() -> u8:
    return presets[0].value


def test_so_many_objects_start_with_zeros() -> None:
    with pytest.raises(CompileError, match="so many cells can start with 0 only"):
        Running([look])
    assert Running([look], [Many(count=9)]).call(look) == 1


class Optional(Config):
    limit: int | None = None


def limit_of() -> u8:
    return 7 if Optional.limit is None else u8(Optional.limit)


def is_limited() -> bool:
    return Optional.limit is not None


@pytest.mark.parametrize("limit", [None, 5, 0])
def test_a_parameter_can_be_a_number_or_none(limit: int | None) -> None:
    kernel = Running([limit_of, is_limited], [Optional(limit=limit)])
    assert kernel.call(limit_of) == (7 if limit is None else limit)
    assert kernel.call(is_limited) == (limit is not None)


def test_an_edit_of_a_mutant_is_made() -> None:
    edit = drop(samples.take_lock, samples.with_lock)
    kernel = Running([samples.take_lock, samples.take], edits=[edit])
    kernel.call(samples.take)
    kernel.call(samples.take_lock, 0)
    kernel.call(samples.take_lock, 0)


def test_faults_and_munmap_of_mm_leave_the_same_memory() -> None:
    pages = 96
    config = [
        Machine(
            cpus=1, pages=pages, frames=pages, full_size=True, frame_bits=8, address_bits=8,
            count_bits=32, version_bits=8,
        ),
        _shared_file.Work(start=_shared_file.Start.READ),
    ]  # fmt: skip
    functions = [_shared_file.setup, user_store, user_load, munmap]
    kernels = [Running(functions, config, interpret=i) for i in (False, True)]
    for kernel in kernels:
        kernel.call(_shared_file.setup)
        choice = random.Random(1)
        for _ in range(200):
            function = user_store if choice.random() < 0.5 else user_load
            assert kernel.call(function, _shared_file.mm, choice.randrange(pages)) == 1
        assert sum(kernel.cells(page_frame, "content")) > 80
        assert kernel.get((mem_map, 1), "_mapcount.counter") == 1
        dirty = sum(kernel.cells(folio, "PG_dirty"))
        assert 0 < dirty < pages
        kernel.call(munmap, _shared_file.mm, 0)
        assert kernel.get((mem_map, 1), "_mapcount.counter") == 0
        assert kernel.call(user_store, _shared_file.mm, 0) == 0
    native, interpreted = kernels
    for family in native.memory.families:
        if family.type.bits:
            at = native.memory.families.index(family)
            other = interpreted.memory.families[at]
            assert list(native.view(family)) == list(interpreted.view(other)), family.name
