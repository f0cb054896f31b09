"""How large the machine is, and what it remembers: page frames and disk blocks.

TRUSTED: the kernel in ``mm/`` is checked against this file, never the other way.

The content of a page is a version number.  Version n is what the page holds after
its n-th store; a store that would be lost is a version that no longer exists.
"""

from __future__ import annotations

from typing import TypeAlias

from pagerace.lang import Array, Config, Pool, Struct, array, atomic, pool, u2, u3, u4
from pagerace.machine.arch import Arch

# `unsigned long` of the kernel: a virtual address, counted in pages.
ulong: TypeAlias = u4
# A page frame number.
pfn_t: TypeAlias = u2
# What a page or a block holds.
version_t: TypeAlias = u3

PAGE_SIZE = 1


class Machine(Config):
    """Sizes and rules.  ``pages``: virtual pages of an address space, and blocks of a file.

    ``levels``: of page tables, 1 to 5; ``entries``: in each table above those of PTEs,
    which share the pages equally.  ``paravirtual``: the CPUs are virtual, and the host takes
    them away (machine/vcpu.py).
    """

    arch: Arch = Arch.X86_64
    levels: int = 1
    entries: int = 1
    paravirtual: bool = False
    cpus: int = 3
    pages: int = 1
    frames: int = 1


class page_frame(Struct):
    """One page of physical memory."""

    content: version_t


class block_device(Struct):
    """A disk with one file on it: ``block[i]`` is page i of the file."""

    block: Array[version_t] = array(lambda: Machine.pages)


# Frame n is frames[n].  What is not allocated belongs to the page allocator: a load or
# a store that reaches it is a use after free.
frames: Pool[page_frame] = pool(page_frame, lambda: Machine.frames)
disk = block_device()


def read_in(block: ulong, pfn: pfn_t) -> None:
    """The disk copies a block to a frame that nobody else knows yet."""
    with atomic():
        frames[pfn].content = disk.block[block]


def write_out(pfn: pfn_t, block: ulong) -> None:
    """The disk reads a frame and has it, in a step: nothing else ever reads the disk."""
    with atomic():
        disk.block[block] = frames[pfn].content
