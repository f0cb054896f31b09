"""Numbers of the kernel's user interface, of x86-64: what programs are made of.

From include/uapi/asm-generic/mman-common.h, mman.h, errno-base.h and
include/uapi/linux/kernel-page-flags.h; they are part of the ABI and never change.
"""

from __future__ import annotations

PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4
PROTS = {"PROT_READ": PROT_READ, "PROT_WRITE": PROT_WRITE, "PROT_EXEC": PROT_EXEC}

MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE = 1, 2, 3
MAP_FIXED, MAP_ANONYMOUS = 0x10, 0x20
MAP_NORESERVE, MAP_POPULATE, MAP_NONBLOCK = 0x4000, 0x8000, 0x10000
MAP_FIXED_NOREPLACE = 0x100000
MAP_TYPES = {
    "MAP_SHARED": MAP_SHARED, "MAP_PRIVATE": MAP_PRIVATE,
    "MAP_SHARED_VALIDATE": MAP_SHARED_VALIDATE,
}  # fmt: skip
MAP_FLAGS = {
    "MAP_FIXED": MAP_FIXED, "MAP_ANONYMOUS": MAP_ANONYMOUS, "MAP_NORESERVE": MAP_NORESERVE,
    "MAP_POPULATE": MAP_POPULATE, "MAP_NONBLOCK": MAP_NONBLOCK,
    "MAP_FIXED_NOREPLACE": MAP_FIXED_NOREPLACE,
}  # fmt: skip

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MREMAPS = {
    "MREMAP_MAYMOVE": MREMAP_MAYMOVE, "MREMAP_FIXED": MREMAP_FIXED,
    "MREMAP_DONTUNMAP": MREMAP_DONTUNMAP,
}  # fmt: skip

MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED = 0, 1, 2, 3, 4
MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK = 8, 9, 10, 11
MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_WIPEONFORK, MADV_KEEPONFORK = 14, 15, 18, 19
MADV_COLD, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_COLLAPSE = 20, 22, 23, 25
ADVICES = {
    "MADV_NORMAL": MADV_NORMAL, "MADV_RANDOM": MADV_RANDOM, "MADV_SEQUENTIAL": MADV_SEQUENTIAL,
    "MADV_WILLNEED": MADV_WILLNEED, "MADV_DONTNEED": MADV_DONTNEED, "MADV_FREE": MADV_FREE,
    "MADV_REMOVE": MADV_REMOVE, "MADV_DONTFORK": MADV_DONTFORK, "MADV_DOFORK": MADV_DOFORK,
    "MADV_HUGEPAGE": MADV_HUGEPAGE, "MADV_NOHUGEPAGE": MADV_NOHUGEPAGE,
    "MADV_WIPEONFORK": MADV_WIPEONFORK, "MADV_KEEPONFORK": MADV_KEEPONFORK,
    "MADV_COLD": MADV_COLD,
    "MADV_POPULATE_READ": MADV_POPULATE_READ, "MADV_POPULATE_WRITE": MADV_POPULATE_WRITE,
    "MADV_COLLAPSE": MADV_COLLAPSE,
}  # fmt: skip

MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
MSYNCS = {"MS_ASYNC": MS_ASYNC, "MS_INVALIDATE": MS_INVALIDATE, "MS_SYNC": MS_SYNC}

# Bits of /proc/PID/pagemap, moved down: bits 63, 62, 61 and 56 of an entry.
PM_PRESENT, PM_SWAP, PM_FILE, PM_MMAP_EXCLUSIVE = 1, 2, 4, 8
PAGEMAP = {
    "present": PM_PRESENT, "swap": PM_SWAP, "file": PM_FILE, "exclusive": PM_MMAP_EXCLUSIVE,
}  # fmt: skip

# Bits of /proc/kpageflags.
KPF_REFERENCED, KPF_UPTODATE, KPF_DIRTY, KPF_WRITEBACK = 1 << 2, 1 << 3, 1 << 4, 1 << 8
KPF_MMAP, KPF_ANON, KPF_SWAPBACKED = 1 << 11, 1 << 12, 1 << 14
KPF_COMPOUND_HEAD, KPF_COMPOUND_TAIL, KPF_KSM = 1 << 15, 1 << 16, 1 << 21
KPF_THP, KPF_ZERO_PAGE = 1 << 22, 1 << 24
KPAGEFLAGS = {
    "referenced": KPF_REFERENCED, "uptodate": KPF_UPTODATE, "dirty": KPF_DIRTY,
    "writeback": KPF_WRITEBACK, "mmap": KPF_MMAP, "anon": KPF_ANON,
    "swapbacked": KPF_SWAPBACKED, "compound_head": KPF_COMPOUND_HEAD,
    "compound_tail": KPF_COMPOUND_TAIL, "ksm": KPF_KSM, "thp": KPF_THP,
    "zero_page": KPF_ZERO_PAGE,
}  # fmt: skip


def spelled(value: int, names: dict[str, int], zero: str = "0") -> str:
    """A number as C writes it: ``PROT_READ | PROT_WRITE``; unknown bits as a number."""
    words: list[str] = []
    for name, bit in names.items():
        if bit and value & bit == bit:
            words.append(name)
            value &= ~bit
    if value:
        words.append(hex(value))
    return " | ".join(words) or zero
