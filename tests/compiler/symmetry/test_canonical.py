"""The representative of an orbit: native code against its definition, and what it must be."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from itertools import pairwise, permutations
from math import factorial

import pytest

from pagerace.compiler import interpreter, symmetry
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import build
from pagerace.compiler.reductions import Reductions
from pagerace.compiler.symmetry.canonical import (
    Canonical,
    Words,
    adjacent_order,
    canonicals,
    representative,
)
from pagerace.lang.protocol import Protocol
from tests.compiler.symmetry import samples
from tests.compiler.symmetry.samples import claim

CLAIMS = {
    "two": claim(samples.alike, 2),
    "three": claim(samples.alike, 3),
    "four": claim(samples.alike, 4),
    "five": samples.everybody_asks(5),
    "after a loop": claim(samples.alike, 3, samples.in_order),
    "asking": samples.asking(4),
    "everybody asks": samples.everybody_asks(3),
    "four ask": samples.everybody_asks(4),
    "names": samples.two_names,
    "same CPU": samples.same_cpu,
}


class Sample:
    def __init__(self, protocol: Protocol) -> None:
        self.program = samples.program(protocol)
        self.layout = Layout.of(self.program)
        found = symmetry.find(self.program)
        self.groups = canonicals(self.program, self.layout, found)
        reductions = Reductions.of(self.program, self.layout, ["symmetry"])
        assert list(reductions.groups) == self.groups
        self.native = build.compile_program(
            self.program, self.layout, reductions=reductions, cached=False
        )

    def canonicalise(self, words: Words) -> Words:
        size = self.layout.words
        state = (ctypes.c_uint64 * size)(*words)
        spare = (ctypes.c_uint64 * (2 * size))(*[0x5555555555555555] * (2 * size))
        self.native.function("canonicalise")(state, spare)
        return tuple(state)

    def random_states(self, count: int) -> Iterator[Words]:
        """Words of any bits that are used, many of them with units that are alike."""
        used = [0] * self.layout.words
        for slots in [*self.layout.cells.values(), self.layout.pc]:
            for slot in slots:
                used[slot.word] |= ((1 << slot.bits) - 1) << slot.shift
        for slots_of in self.layout.locals:
            for slot in slots_of.values():
                used[slot.word] |= ((1 << slot.bits) - 1) << slot.shift
        chance = random.Random(7)
        for turn in range(count):
            words = [chance.getrandbits(64) & mask for mask in used]
            for _ in range(turn % 4):
                words = [word & chance.getrandbits(64) for word in words]
            yield tuple(words)


@pytest.mark.parametrize("name", CLAIMS)
def test_native_code_is_the_definition(name: str) -> None:
    sample = Sample(CLAIMS[name])
    changed = 0
    for words in sample.random_states(600):
        expected = representative(sample.groups, words)
        assert sample.canonicalise(words) == expected
        changed += words != expected
    assert changed > 50


@pytest.mark.parametrize("name", CLAIMS)
def test_all_of_an_orbit_have_one_representative(name: str) -> None:
    sample = Sample(CLAIMS[name])
    (group,) = sample.groups
    if not group.exact:
        return
    for words in sample.random_states(40):
        orbit = group.orbit(words)
        assert len(orbit) <= factorial(group.units)
        if group.applies(words):
            assert len({group.representative(other) for other in orbit}) == 1
            assert group.representative(words) in orbit
        else:
            assert group.representative(words) == words


def test_a_swap_done_twice_is_nothing() -> None:
    for name in CLAIMS:
        sample = Sample(CLAIMS[name])
        (group,) = sample.groups
        for words in sample.random_states(20):
            for number in range(len(group.swaps)):
                once = group.swapped(words, number)
                assert tuple(group.swapped(once, number)) == words


def test_a_swap_is_the_permutation_of_the_state() -> None:
    """Moves of bits do what the permutation says of cells, points and locals."""
    sample = Sample(CLAIMS["four ask"])
    found = symmetry.find(sample.program)
    (group,) = sample.groups
    walk = random.Random(3)
    state = interpreter.initial(sample.program)
    moved = 0
    for _ in range(60):
        for number, swap in enumerate(found.groups[0].swaps):
            words = sample.layout.pack(state)
            after = sample.layout.unpack(group.swapped(words, number))
            for process, image in enumerate(swap.processes):
                assert after.pc[image] == state.pc[process]
                assert after.locals[image] == state.locals[process]
            for family, cells in enumerate(state.memory):
                for index, value in enumerate(cells):
                    assert after.memory[family][swap.cell(family, index)] == value
            moved += tuple(words) != sample.layout.pack(after)
        following = [
            outcome.state
            for process in sample.program.processes
            for outcome in interpreter.enumerate_steps(
                sample.program, state, process.index, record=False
            )
            if outcome.kind == "ok"
        ]
        if not following:
            break
        state = walk.choice(following)
    assert moved > 10


def test_residual_bits_are_there_only_for_pairs() -> None:
    def rest(protocol: Protocol) -> int:
        (group,) = Sample(protocol).groups
        return sum(mask.bit_count() for mask in group.rest)

    assert rest(CLAIMS["three"]) == 0
    assert rest(CLAIMS["everybody asks"]) == 6  # who has asked whom, of three
    (group,) = Sample(CLAIMS["five"]).groups
    assert not group.exact


@pytest.mark.parametrize("units", [2, 3, 4])
def test_all_orders_by_swaps_of_neighbours(units: int) -> None:
    order = list(range(units))
    seen = [tuple(order)]
    for place in adjacent_order(units):
        order[place : place + 2] = order[place : place + 2][::-1]
        seen.append(tuple(order))
    assert sorted(seen) == sorted(permutations(range(units)))
    assert all(one != two for one, two in pairwise(seen))


def test_interpreter_and_search_use_it() -> None:
    """``Reductions.canonical`` is the same on states as on words."""
    sample = Sample(CLAIMS["two"])
    reductions = Reductions.of(sample.program, sample.layout, ["symmetry"])
    state = interpreter.initial(sample.program)
    state = interpreter.step(sample.program, state, 1).state
    (group,) = sample.groups
    assert isinstance(group, Canonical)
    words = sample.layout.pack(reductions.canonical(state))
    assert words == group.representative(sample.layout.pack(state))
