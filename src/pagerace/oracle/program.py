"""Programs of system calls and accesses, and what a judge sees after each call.

A judge is whatever runs a program: the kernel that runs here (oracle/kernel.py), or the
kernel functions of mm/ (oracle/model.py).  Both get the same ``Program`` and both say the
same ``Observation``s, so that they can be compared call by call and page by page.

Addresses are page numbers of a window: page p is the virtual address
``(WINDOW_START + p) * 4096``.  The window begins 128 pages below a 2 MiB boundary, so that
programs use two page tables.  Nothing but the program maps anything in the window.  Lengths,
offsets and file sizes are in pages too, so nothing is ever unaligned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeAlias

PAGE = 4096
WINDOW_START = (0x2000_0000_0000 + 0x20_0000) // PAGE - 128
WINDOW = 256

# The result of a call that put its mapping outside the window, for example mremap() with
# MREMAP_MAYMOVE alone.  The judge unmaps it there at once, so that it is in nobody's way.
ELSEWHERE = 1 << 40


@dataclass(frozen=True, slots=True)
class File:
    """A file that is there before the program starts.

    ``kind``: "file" (a regular file, of the file system that holds the temporary folder) or
    "memfd".  ``pages``: its length.  ``writable``: opened O_RDWR, else O_RDONLY.
    ``written_in``: pages per write() when it was made, on which the size of its folios
    depends.  All of it is in the page cache, and a regular file has been synced.  The first
    eight bytes of page i are ``first_content(file, i)``, the others are 0.
    """

    kind: str = "file"
    pages: int = 16
    writable: bool = True
    written_in: int = 1


def first_content(file: int, index: int) -> int:
    """What page ``index`` of file number ``file`` contains at first; never 0."""
    return (file + 1) * 1_000_000 + index + 1


@dataclass(frozen=True, slots=True)
class Mmap:
    """mmap(): ``file`` is -1 for MAP_ANONYMOUS, or a number that is not there: EBADF."""

    actor: int
    address: int
    length: int
    prot: int
    flags: int
    file: int = -1
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Munmap:
    actor: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Mprotect:
    actor: int
    address: int
    length: int
    prot: int


@dataclass(frozen=True, slots=True)
class Mremap:
    """mremap(): ``new_address`` counts with MREMAP_FIXED (and as a hint with DONTUNMAP)."""

    actor: int
    address: int
    old_length: int
    new_length: int
    flags: int
    new_address: int = 0


@dataclass(frozen=True, slots=True)
class Madvise:
    actor: int
    address: int
    length: int
    advice: int


@dataclass(frozen=True, slots=True)
class Msync:
    actor: int
    address: int
    length: int
    flags: int


@dataclass(frozen=True, slots=True)
class Mincore:
    """mincore(): the result is 0, and ``Observation.vector`` has what it told of pages."""

    actor: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Ftruncate:
    """ftruncate(): the file is ``pages`` long from now on."""

    actor: int
    file: int
    pages: int


@dataclass(frozen=True, slots=True)
class Pwrite:
    """pwrite() of one whole page: its content becomes ``value``.  The result is 1 (page)."""

    actor: int
    file: int
    index: int
    value: int


@dataclass(frozen=True, slots=True)
class Pread:
    """pread() of one whole page: the result is its content, -1 << 62 at the end of file."""

    actor: int
    file: int
    index: int


@dataclass(frozen=True, slots=True)
class Load:
    """One load instruction of 8 bytes: the result is the content."""

    actor: int
    page: int


@dataclass(frozen=True, slots=True)
class Store:
    """One instruction that adds ``addend`` to the page's content, as ``lock addq`` does.

    The processor asks for write permission at once, so that it is one write fault.
    The result is 0.
    """

    actor: int
    page: int
    addend: int


@dataclass(frozen=True, slots=True)
class Fork:
    """fork(): the child is the process number ``child`` from now on.  The result is that."""

    actor: int
    child: int


@dataclass(frozen=True, slots=True)
class Exit:
    """The process ends, and has been waited for when the call is over.  Its files stay."""

    actor: int


Call: TypeAlias = (
    Mmap | Munmap | Mprotect | Mremap | Madvise | Msync | Ftruncate | Pwrite | Pread
    | Load | Store | Fork | Exit | Mincore
)  # fmt: skip
CALLS: dict[str, type] = {
    kind.__name__.lower(): kind
    for kind in (
        Mmap, Munmap, Mprotect, Mremap, Madvise, Msync, Ftruncate, Pwrite, Pread,
        Load, Store, Fork, Exit, Mincore,
    )
}  # fmt: skip
END_OF_FILE = -1 << 62
# Pages that one mincore() asks about at most: the kernel tells of so many at once.
MINCORE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Program:
    """What a judge runs.  Process 0 begins it; all files are open in all processes.

    ``fault_around``: pages that the kernel maps around a read fault of a file, where the
    judge can set that (debugfs); None: as the kernel has it, 16 unless changed.
    """

    calls: tuple[Call, ...]
    files: tuple[File, ...] = ()
    window: int = WINDOW
    fault_around: int | None = None


class Page(NamedTuple):
    """A page of the window that is present or swapped out in one process.

    ``pagemap``: PM_* of oracle/constants.py.  ``content``: the first eight bytes, None where
    they could not be read.  ``mapcount``: /proc/kpagecount.  ``flags``: /proc/kpageflags,
    all of its bits; None where they could not be read.
    """

    pagemap: int
    content: int | None = None
    mapcount: int | None = None
    flags: int | None = None


@lru_cache(100_000)
def alike(
    pagemap: int, content: int | None = None, count: int | None = None, flags: int | None = None
) -> Page:
    """Page(), the same object for the same page: most are as they were a call before."""
    return Page(pagemap, content, count, flags)


class VmArea(NamedTuple):
    """A mapping as /proc/PID/smaps tells it, pages ``start`` to ``end`` - 1 of the window.

    ``perms``: such as "rw-p".  ``offset``: in pages; 0 for anonymous memory.  ``file``: -1
    for private anonymous memory and -2 for shared.  ``sizes``: the lines of smaps that are
    in kB, by name ("Rss", "Shared_Dirty", ...), in kB.  ``vmflags``: the two-letter words.
    """

    start: int
    end: int
    perms: str
    offset: int
    file: int
    sizes: Mapping[str, int]
    vmflags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Space:
    """What is seen of one process.  Pages that are neither present nor swapped are absent.

    ``pages`` or ``mappings`` is None where the judge cannot see them at all.
    """

    process: int
    pages: Mapping[int, Page] | None
    mappings: tuple[VmArea, ...] | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen once a call is over.

    ``result``: as the kernel's, -errno for an error; addresses are pages of the window.
    ``signal``: "" or "SIGSEGV", "SIGBUS", with ``code`` ("SEGV_MAPERR", "SEGV_ACCERR",
    "BUS_ADRERR") and the page of si_addr; the process lives on and the access is left out.
    ``stopped``: why nothing runs any more, for example a detector of the judge's own; such an
    observation is the last of a program.
    ``vector``: of mincore(), a number for each page that it told of, 1 where the page is in
    memory.  An error comes behind what it told: -ENOMEM has the pages before the hole.
    ``minor``, ``major``: faults of the actor during the call (getrusage), None if unknown.
    ``spaces``: all processes that are alive now, by number.
    """

    result: int
    signal: str = ""
    code: str = ""
    fault_page: int = -1
    minor: int | None = None
    major: int | None = None
    spaces: tuple[Space, ...] = ()
    stopped: str = ""
    vector: tuple[int, ...] = ()


# The kinds of observation, in the order of the output.
KINDS = (
    "results", "signals", "contents", "pagemap", "smaps", "faults", "mapcount", "flags",
    "fault-around", "huge-pages",
)  # fmt: skip


@dataclass(frozen=True)
class Sight:
    """What a judge sees.  ``missing``: kinds that it does not see, each with the reason.

    ``disturbs``: kinds whose observation changes what is observed later, with what.
    ``unmade``: calls that it cannot make at all, by name, with the reason.  ``about``: what
    it is, such as "Linux 6.18.44, x86_64, root".
    """

    about: str
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    disturbs: Mapping[str, str] = field(default_factory=dict[str, str])
    unmade: Mapping[str, str] = field(default_factory=dict[str, str])

    def sees(self, kind: str) -> bool:
        return kind not in self.missing


class CannotJudge(Exception):
    """A judge cannot run programs here at all; the message says why."""


class Judge(Protocol):
    """Whatever runs programs.  Made once, used for many programs, closed at the end."""

    def sight(self) -> Sight:
        """What it sees here."""
        ...

    def run(self, program: Program) -> list[Observation]:
        """One observation for each call.

        Raises CannotJudge if the judge itself is broken: programs cannot do that.
        """
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
