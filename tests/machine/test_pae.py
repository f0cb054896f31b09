"""entry.py and pae.py: halves, and what a watched entry has held."""

from __future__ import annotations

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang import atomic, drop, protocol, thread
from pagerace.lang.protocol import Edit, Protocol
from pagerace.machine.arch import Arch
from pagerace.machine.entry import (
    pte_slot,
    pte_t,
    unwatch_entry,
    was_held,
    watch_entry,
    watched,
)
from pagerace.machine.memory import Machine
from pagerace.machine.pae import (
    Pae,
    both_halves,
    exchange_low,
    high_half,
    load_high,
    load_low,
    low_half,
    native_pte_clear,
    native_set_pte,
    store_high,
    store_low,
)
from pagerace.machine.pgtable import native_ptep_get_and_clear, pte_none, ptep_get, set_pte
from pagerace.search import check
from tests.kernel import fresh_machine

PTE = pte_t(present=True, writable=True, accessed=True, dirty=True, pfn=3)
entry = pte_slot()


def test_two_frames_have_equal_low_halves() -> None:
    assert low_half(PTE) == PTE.replace(pfn=1)
    assert high_half(PTE) == pte_t(pfn=2)
    assert low_half(PTE) == low_half(PTE.replace(pfn=1))
    with fresh_machine(Pae(low_pfn_bits=0)):
        assert low_half(PTE) == low_half(PTE.replace(pfn=2)) == PTE.replace(pfn=0)
        assert high_half(PTE) == pte_t(pfn=3)


@pytest.mark.parametrize("bits", [0, 1, 2])
def test_the_halves_make_the_whole(bits: int) -> None:
    with fresh_machine(Pae(low_pfn_bits=bits)):
        assert both_halves(low_half(PTE), high_half(PTE)) == PTE


def test_an_access_touches_one_half() -> None:
    slot = pte_slot()
    store_low(slot, PTE)
    assert slot.value == PTE.replace(pfn=1)
    store_high(slot, PTE)
    assert slot.value == PTE
    assert (load_low(slot), load_high(slot)) == (PTE.replace(pfn=1), pte_t(pfn=2))
    assert exchange_low(slot, pte_t()) == PTE.replace(pfn=1)
    assert slot.value == pte_t(pfn=2)


@pytest.mark.parametrize("xchg64", [False, True])
def test_the_helpers_leave_the_same_on_all_machines(xchg64: bool) -> None:
    for arch in (Arch.X86_64, Arch.X86_PAE):
        with fresh_machine(Machine(arch=arch), Pae(xchg64=xchg64)):
            slot = pte_slot()
            set_pte(slot, PTE)
            assert ptep_get(slot) == PTE
            assert native_ptep_get_and_clear(slot) == PTE
            assert pte_none(ptep_get(slot))


def test_what_an_entry_held_is_known() -> None:
    from pagerace.machine.entry import Watch

    with fresh_machine(Watch(entries=True)):
        slot, other = pte_slot(), pte_slot()
        watched.ptep = slot
        set_pte(slot, PTE)
        watch_entry()
        set_pte(slot, PTE.replace(pfn=2))
        set_pte(other, PTE.replace(pfn=1))
        native_ptep_get_and_clear(slot)
        held = unwatch_entry()
        assert was_held(PTE, held)
        assert was_held(PTE.replace(pfn=2), held)
        assert not was_held(PTE.replace(pfn=1), held)
        assert not was_held(PTE.replace(dirty=False), held)
        assert unwatch_entry() == 0


def write() -> None:
    native_set_pte(entry, PTE)
    native_pte_clear(entry)


def walk() -> None:
    """Eight bytes at once, as the walker reads them."""
    with atomic():
        value = entry.value
        assert not value.present or value.pfn == PTE.pfn


def claim(*edits: Edit) -> Protocol:
    return protocol(threads=[thread(write), thread(walk)]).replace(edits=edits)


def test_halves_are_steps_of_their_own_in_an_order_that_the_walker_needs() -> None:
    held = check(compile_protocol(claim()))
    assert (held.verdict, held.states) == ("holds", 10)


@pytest.mark.parametrize(
    "edit",
    [
        drop(native_set_pte, store_high),
        drop(native_pte_clear, store_low),
    ],
)
def test_without_one_half_the_walker_goes_wrong(edit: Edit) -> None:
    assert check(compile_protocol(claim(edit))).verdict == "violated"
