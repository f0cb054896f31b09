"""Warnings that the kernel prints and survives: include/asm-generic/bug.h."""

from __future__ import annotations

from pagerace.lang import Struct


class warnings(Struct):
    """Which WARN_ON_ONCE() has fired.

    ``ext4_dirty_folio``: the one in fs/ext4/inode.c, of a folio that is dirtied while
    it is neither locked nor dirty already.
    ``dirtied_unmapped``: no warning of the kernel, but T4-S6: a folio was dirtied while
    it was neither locked nor mapped.
    """

    ext4_dirty_folio: bool
    dirtied_unmapped: bool


warned = warnings()
