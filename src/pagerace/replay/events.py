"""What a trace is made of: records in batches, system calls, and mappings.

A record is one number of 64 bits, so that a batch is plain memory:

    address : 56 | size - 1 : 6 | kind : 2

The address is in bytes, the size 1 to 64 bytes; what is longer takes several records.
"""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Final, TypeAlias

FETCH: Final = 0  # an instruction
LOAD: Final = 1
STORE: Final = 2
MODIFY: Final = 3  # a load and a store

KIND_BITS: Final = 2
SIZE_BITS: Final = 6
ADDRESS_SHIFT: Final = 8
ADDRESS_LIMIT: Final = 1 << 56  # what lies above is the kernel's own, also with 5 levels
SIZE_MAX: Final = 64

BATCH: Final = 65_536  # records in a batch, at most


def pack(address: int, size: int, kind: int) -> list[int]:
    """The records of one access; none for an address beyond ``ADDRESS_LIMIT``."""
    if address >= ADDRESS_LIMIT:
        return []
    records: list[int] = []
    while size > 0:
        part = min(size, SIZE_MAX)
        records.append(address << ADDRESS_SHIFT | (part - 1) << KIND_BITS | kind)
        address, size = address + part, size - part
    return records


def unpack(record: int) -> tuple[int, int, int]:
    """Address, size and kind of a record."""
    return record >> ADDRESS_SHIFT, (record >> KIND_BITS & SIZE_MAX - 1) + 1, record & 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Accesses of one thread, in order.

    ``records`` is memory of ``Q`` items that the reader uses again: it is valid until the
    next event is asked for.  ``lines``: the first and the last line (or, in a binary trace,
    entry) that they come from, counted from 1.
    """

    process: int
    thread: int
    records: memoryview
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Call:
    """A system call on memory that returned ``result``, -errno where it failed.

    Beside the calls of that name: ``fork``, whose result is the new process; ``thread``, a
    clone that shares the memory; ``exit`` of a process, or an exec; ``wait`` for the process
    that is the result.

    ``arguments`` are those of the system call: addresses and lengths in bytes, flags with
    the kernel's values, -1 for no file.  ``path`` names the file of an mmap.
    """

    process: int
    thread: int
    name: str
    arguments: tuple[int, ...]
    result: int
    line: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Memory that is there without a system call in the trace, ``start`` to ``end`` in bytes.

    ``prot`` and ``flags`` are those of an mmap; ``path`` is empty for anonymous memory.
    """

    process: int
    start: int
    end: int
    prot: int
    flags: int
    offset: int
    path: str


Event: TypeAlias = Batch | Call | Mapping


class TraceError(Exception):
    """A trace that cannot be read on from ``line`` (or entry; 0: the file as a whole)."""

    def __init__(self, path: str, line: int, message: str, help: str = "") -> None:
        place = f"{path}:{line}" if line else path
        super().__init__(f"{place}: {message}")
        self.path, self.line, self.message, self.help = path, line, message, help


def records_of(numbers: list[int]) -> memoryview:
    """Packed records as the memory of a batch."""
    return memoryview(array.array("Q", numbers))
