"""How large the machine is, and what it remembers: page frames and disk blocks.

TRUSTED: the kernel in ``mm/`` is checked against this file, never the other way.

The content of a page is a version number.  Version n is what the page holds after
its n-th store; a store that would be lost is a version that no longer exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pagerace.lang import Array, Config, Pool, Struct, array, atomic, pool, sized
from pagerace.machine.arch import Arch

PAGE_SIZE = 1


class Machine(Config):
    """Sizes and rules.  ``pages``: virtual pages of an address space.  ``file_pages``: of
    the longest file; None: as many.

    ``levels``: of page tables, 2 to 5; ``entries``: in each table above those of PTEs,
    which share the pages equally.  ``tables``, ``uppers``: how many tables of PTEs there is
    memory for, and tables above them; None: what one address space needs.
    ``huge_pages``: an entry of a PMD can be a leaf, of as many frames as a table has PTEs.
    ``huge_puds``: and one of a PUD, of as many frames as a whole PMD leads to; the TLBs of full
    size have no such entries.
    ``paravirtual``: the CPUs are virtual, and the host takes them away (machine/vcpu.py).

    The widths are as small as a check wants them: ``address_bits`` of a page's number,
    ``frame_bits`` of a frame's, ``version_bits`` of a content, ``count_bits`` of the kernel's
    counters.  ``full_size``: nothing runs but one interleaving, over memory as large as a
    machine's; then what these do not size is wide enough for any machine.
    ``blocks``: of the disk, if it has not only the pages of one file.
    ``prot_none``: an entry can be there for the kernel and not for the walker.
    """

    arch: Arch = Arch.X86_64
    levels: int = 2
    entries: int = 1
    tables: int | None = None
    uppers: int | None = None
    huge_pages: bool = False
    huge_puds: bool = False
    paravirtual: bool = False
    cpus: int = 3
    pages: int = 1
    file_pages: int | None = None
    frames: int = 1
    address_bits: int = 4
    frame_bits: int = 2
    version_bits: int = 3
    count_bits: int = 3
    full_size: bool = False
    prot_none: bool = False
    blocks: int | None = None


# `unsigned long` of the kernel: a virtual address, counted in pages.  pfn_t: the number of
# a page frame.  version_t: what a page or a block holds.  count_t: how many of something.
# cpu_t: the number of a CPU.  cpumask_t: a set of CPUs.  nr_t: a number that stays small.
if TYPE_CHECKING:
    ulong: TypeAlias = int
    pfn_t: TypeAlias = int
    version_t: TypeAlias = int
    count_t: TypeAlias = int
    cpu_t: TypeAlias = int
    cpumask_t: TypeAlias = int
    nr_t: TypeAlias = int
else:
    ulong = sized("ulong", lambda: Machine.address_bits)
    pfn_t = sized("pfn_t", lambda: Machine.frame_bits)
    version_t = sized("version_t", lambda: Machine.version_bits)
    count_t = sized("count_t", lambda: Machine.count_bits)
    cpu_t = sized("cpu_t", lambda: 6 if Machine.full_size else 3)
    cpumask_t = sized("cpumask_t", lambda: 64 if Machine.full_size else 8)
    nr_t = sized("nr_t", lambda: 32 if Machine.full_size else 2)


def file_pages() -> int:
    """Pages of the longest file that there may be."""
    return Machine.pages if Machine.file_pages is None else Machine.file_pages


def disk_blocks() -> int:
    """Pages that there is room for on the disk; as a rule, one file's."""
    return file_pages() if Machine.blocks is None else Machine.blocks


class page_frame(Struct):
    """One page of physical memory."""

    content: version_t


class block_device(Struct):
    """A disk: ``block[i]`` is page i of the file, where there is one file."""

    block: Array[version_t] = array(lambda: disk_blocks())


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


def forget_blocks(first: ulong, end: ulong) -> None:
    """The disk has zeros, from block ``first`` to ``end`` - 1, where a file was."""
    with atomic():
        for block in range(first, end):
            disk.block[block] = 0
