"""What the hardware reads into a page-table entry, and which bits of it it sets.

    field      x86   arm64                           s390
    present    P     VALID                           PRESENT
    writable   R/W   WRITE, which is DBM             WRITE, software
    accessed   A     AF                              YOUNG, software; if clear: INVALID
    dirty      D     DIRTY, software                 DIRTY, software
    read_only  -     RDONLY (AP[2])                  -

x86 sets A and D by itself.  arm64 with FEAT_HAFDBS sets AF, and clears RDONLY at the first
store where DBM is set; so "writable and not RDONLY" is what dirty means to it.  Without
it an entry with AF clear faults, and a store to one with RDONLY.  s390 sets nothing: the
kernel keeps an entry INVALID while it is old, and PROTECT set unless it is both writable
and dirty, so that neither bit is kept here.

TRUSTED.
"""

from __future__ import annotations

from pagerace.machine.arch import Arch
from pagerace.machine.entry import pte_t
from pagerace.machine.memory import Machine


def arm64() -> bool:
    """Is the machine an arm64?"""
    return Machine.arch is Arch.ARM64 or Machine.arch is Arch.ARM64_AFDBM


def sets_bits() -> bool:
    """Does the walker itself mark entries accessed and dirty?"""
    return Machine.arch is not Arch.ARM64 and Machine.arch is not Arch.S390


def is_valid(pte: pte_t) -> bool:
    """May the walker use the entry at all?  Where it cannot make it young, not an old one."""
    return pte.present and (sets_bits() or pte.accessed)


def may_store(pte: pte_t) -> bool:
    """May a store use the entry, if need be after the walker has marked it dirty?"""
    if Machine.arch is Arch.ARM64:
        return not pte.read_only
    if Machine.arch is Arch.ARM64_AFDBM:
        return not pte.read_only or pte.writable
    if Machine.arch is Arch.S390:
        return pte.writable and pte.dirty
    return pte.writable


def is_marked_dirty(pte: pte_t) -> bool:
    """Has the walker nothing more to mark before a store?"""
    if arm64():
        return not pte.read_only
    return pte.dirty


def mark_accessed(pte: pte_t) -> pte_t:
    """The entry as the walker leaves it when it fills a TLB."""
    return pte.replace(accessed=True)


def mark_dirty(pte: pte_t) -> pte_t:
    """The entry as the walker leaves it when it lets a store pass."""
    if arm64():
        return pte.replace(read_only=False)
    return pte.replace(dirty=True)


def fault_keeps_entry() -> bool:
    """Does the TLB keep the read-only entry from which a store faulted?  x86 drops it."""
    return arm64() or Machine.arch is Arch.S390
