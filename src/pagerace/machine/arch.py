"""Which processor the machine has: what differs between architectures is selected by it.

TRUSTED.
"""

from __future__ import annotations

from enum import Enum


class Arch(Enum):
    """The processors of which the kernel's page-table code knows.

    X86_64: entries of 8 bytes, read and written whole; a locked RMW sets accessed and
    dirty; TLBs are flushed by interrupts.  X86_PAE: the same entries, which the kernel
    reads and writes as two halves of 4 bytes.  ARM64: no hardware sets accessed or dirty,
    invalidation is broadcast.  ARM64_AFDBM: hardware does (FEAT_HAFDBS).  S390: no
    hardware sets them either, and one instruction invalidates an entry and what all TLBs
    know of it (IPTE).
    """

    X86_64 = 0
    X86_PAE = 1
    ARM64 = 2
    ARM64_AFDBM = 3
    S390 = 4
