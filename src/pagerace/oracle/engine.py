"""What runs mm/ for the model: native code over memory of its own."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

from pagerace.compiler.running import Running
from pagerace.lang.protocol import Edit
from pagerace.lang.structures import Config
from pagerace.machine.counters import Counting
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm import mprotect, mremap, syscalls, table_walk
from pagerace.mm.fault_around import V6_18
from pagerace.mm.mm_types import Mm, PageCache, Thp, Vma
from pagerace.mm.read_write import user_buffer
from pagerace.oracle import driver
from pagerace.oracle.program import PAGE, WINDOW_START

# Tables of PTEs are of 512 entries, as on the real machine, so that the window's border
# between two of them is where it is there.
PTES = 512
# Huge pages that programs can have at once, and those that they leave in pieces.
HUGE = 48
CONFIG: tuple[Config, ...] = (
    Machine(
        levels=4, entries=PTES, pages=PTES**4, file_pages=512, blocks=512 * 64,
        frames=16_384 + HUGE * PTES, tables=512, uppers=512, cpus=1, prot_none=True,
        full_size=True, huge_pages=True,
        address_bits=40, frame_bits=32, version_bits=64, count_bits=32,
    ),
    Mm(vmas=1_024, mms=16, files=64),
    Vma(flags=True),
    PageCache(large=True),
    Thp(anonymous=True, set_aside=HUGE),
    PteTables(come_and_go=True),
    mremap.V6_12,
    mprotect.V6_18,
    V6_18,
    table_walk.V6_14,
    Counting(on=True),
)  # fmt: skip


def mapping_around(pages: int) -> tuple[Config, ...]:
    """The same, with another fault_around_bytes: a power of two of pages."""
    around = V6_18.replace(fault_around_bytes=pages * PAGE)
    return tuple(around if item is V6_18 else item for item in CONFIG)


NAMES = (
    "boot", "sys_process_create", "sys_file_create", "sys_memfd_create", "sys_mmap",
    "sys_munmap", "sys_mprotect", "sys_mremap", "sys_madvise", "sys_msync", "sys_fork",
    "sys_exit", "sys_ftruncate", "sys_pwrite", "sys_pread", "sys_fsync",
    "sys_mincore",
)  # fmt: skip


class Native:
    """Machine code.

    ``edits``: what is changed in mm/ first, as in a mutant.  ``names``: the system calls that
    it has; fewer are compiled sooner.
    """

    def __init__(
        self,
        edits: Sequence[Edit] = (),
        config: Sequence[Config] = CONFIG,
        names: Sequence[str] = NAMES,
    ) -> None:
        here = [getattr(syscalls, name) for name in names]
        drives = (
            driver.dump_areas, driver.dump_mincore, driver.dump_pages,
            driver.load_page, driver.store_page, driver.set_mode, driver.leave,
            driver.faults_so_far, driver.major_faults_so_far,
        )  # fmt: skip
        self.running = Running([*here, *drives], config, edits=edits)
        self.start = WINDOW_START

    @property
    def about(self) -> str:
        """What it is, for the output."""
        return "mm/, 4 levels of page tables, native code"

    def begin(self) -> None:
        self.running.reset()

    def call(self, function: Callable[..., Any], *arguments: Any) -> int:
        given = (a.buffer_info()[0] if isinstance(a, array) else a for a in arguments)
        return self.running.call(function, *given)

    def content_read(self) -> int:
        """What the last pread() read."""
        return self.running.get(user_buffer, "value")

    def close(self) -> None:
        self.running.close()
