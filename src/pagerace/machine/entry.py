"""One page-table entry in memory, and every access to the whole of it.

    bit   field      set by
    0     present    the kernel
    1     writable   the kernel
    2     accessed   the kernel; the walker, with a locked RMW, when it fills a TLB
    3     dirty      the kernel; the walker, with a locked RMW, before a first store
    4     read_only  arm64 only, where ``writable`` is permission and this is protection
    5     huge       above the PTEs, where Machine.huge_pages: a leaf (PS), not a table
    6     protnone   the kernel, for PROT_NONE: there is a page, and no access is allowed
    7     prefaulted what no machine has, where Counting.on: mapped beside a fault, unused
    8     huge_pud   in a PUD, where Machine.huge_puds: a leaf.  The hardware's PS, which it
                     tells apart by the level; here it is a bit of its own
    9..   pfn        the kernel

That is x86.  What the bits are on other machines is in machine/walker.py, which says what
hardware reads into them; what the kernel does, in machine/pgtable.py.

TRUSTED: bit layout and what one access can do.
"""

from __future__ import annotations

from typing import Annotated

from pagerace.lang import (
    READ_ONCE,
    WRITE_ONCE,
    BitStruct,
    Config,
    Struct,
    atomic,
    bug_on,
    only_if,
    u2,
    u5,
    u32,
    xchg,
)
from pagerace.machine.counters import Counting
from pagerace.machine.memory import Machine, pfn_t


class pte_t(BitStruct):
    """The value of a page-table entry.  All bits zero: pte_none()."""

    present: bool = False
    writable: bool = False
    accessed: bool = False
    dirty: bool = False
    read_only: bool = False
    huge: Annotated[bool, only_if(lambda: Machine.huge_pages)] = False
    protnone: Annotated[bool, only_if(lambda: Machine.prot_none)] = False
    prefaulted: Annotated[bool, only_if(lambda: Counting.on)] = False
    huge_pud: Annotated[bool, only_if(lambda: Machine.huge_puds)] = False
    pfn: pfn_t = 0


class Colours(Config):
    """``tables``: remember what each table of PTEs is, and look at it at each access.

    A table is in use and linked, or in use and detached, or free: then the frame is another's,
    who may have data there.
    """

    tables: bool = False


class pte_slot(Struct):
    """One entry in memory: what a ``pte_t *`` points to.

    ``detached``: no entry of the PMD points to its table any more.  ``data``: the frame was
    freed, and is somebody's data.  Both only where Colours.tables is set.
    """

    value: pte_t
    detached: bool
    data: bool


CHANGES_MAX = 3


class Watch(Config):
    """``entries``: remember what an entry holds, for claims about reads without a lock.

    ``tables``: look how an entry above the PTEs changes, for claims about who changes it.
    ``changes``: and count how often.
    """

    entries: bool = False
    tables: bool = False
    changes: bool = False


class watched_entry(Struct):
    """What no machine has: which values the entry ``ptep`` has held since watch_entry().

    Bit n of ``held`` stands for the present value whose number_of() is n.  With it a claim
    can say that a reader got nothing that was never there.  ``overwritten``: it pointed to a
    table, and something else was stored there that is not none.  ``changes``: stores to it,
    up to CHANGES_MAX.
    """

    ptep: pte_slot | None = None
    watching: bool
    held: u32
    overwritten: bool
    changes: u2


watched = watched_entry()


def number_of(pte: pte_t) -> u5:
    """All bits of a value but ``present``."""
    number = u5(pte.pfn) << 3
    if pte.writable:
        number |= 1
    if pte.accessed:
        number |= 2
    if pte.dirty:
        number |= 4
    return number


def remember(ptep: pte_slot) -> None:
    """Note the value that a watched entry has now; part of the step that wrote it."""
    if Watch.entries:
        pte = ptep.value
        if ptep is watched.ptep and watched.watching and pte.present:
            watched.held |= u32(1) << number_of(pte)


def remember_change(ptep: pte_slot, pte: pte_t) -> None:
    """Look at what a store is about to replace; part of the step that stores."""
    if Watch.tables and ptep is watched.ptep:
        was = ptep.value
        if was.present and not was.huge and pte.present:
            watched.overwritten = True
        if Watch.changes:
            watched.changes = min(watched.changes + 1, CHANGES_MAX)


def watch_entry() -> None:
    """A read begins: from here on values are remembered, the present one included."""
    if Watch.entries:
        with atomic():
            watched.watching = True
            if watched.ptep is not None:
                remember(watched.ptep)


def unwatch_entry() -> u32:
    """The read has ended; gives ``held``."""
    if not Watch.entries:
        return 0
    with atomic():
        held = watched.held
        watched.watching = False
        watched.held = 0
    return held


def was_held(pte: pte_t, held: u32) -> bool:
    """Is this present value one of those that ``held`` stands for?"""
    return held & (u32(1) << number_of(pte)) != 0


def was_held_pfn(pfn: pfn_t, held: u32) -> bool:
    """Is there a value of this frame among those that ``held`` stands for?"""
    return (held >> (u5(pfn) << 3)) & 0xFF != 0


def load_entry_whole(ptep: pte_slot) -> pte_t:
    """One load of all bits."""
    if Colours.tables:
        with atomic():
            bug_on(ptep.data, "use-after-free")
            pte = ptep.value
        return pte
    return READ_ONCE(ptep.value)


def look_at_colour(ptep: pte_slot, pte: pte_t) -> None:
    """A store into a table that nobody finds is lost, unless it takes an entry away."""
    if Colours.tables:
        bug_on(ptep.data, "use-after-free")
        bug_on(ptep.detached and pte != pte_t(), "detached-table")


def store_entry(ptep: pte_slot, pte: pte_t) -> None:
    """One store of all bits."""
    if Watch.entries or Watch.tables or Colours.tables:
        with atomic():
            look_at_colour(ptep, pte)
            remember_change(ptep, pte)
            ptep.value = pte
            remember(ptep)
    else:
        WRITE_ONCE(ptep.value, pte)


def exchange_entry(ptep: pte_slot, pte: pte_t) -> pte_t:
    """One locked instruction that stores all bits and gives what was there (cmpxchg8b too).

    No bit that the walker sets is lost between the load and the store.
    """
    if Watch.entries or Watch.tables or Colours.tables:
        with atomic():
            look_at_colour(ptep, pte)
            was = ptep.value
            remember_change(ptep, pte)
            ptep.value = pte
            remember(ptep)
        return was
    return xchg(ptep.value, pte)
