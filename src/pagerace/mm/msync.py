"""What is mapped and dirty is written out: mm/msync.c, with Vma.flags."""

from __future__ import annotations

from pagerace.lang import s64, u32
from pagerace.machine.memory import ulong
from pagerace.mm.errno import EBUSY, EINVAL, ENOMEM
from pagerace.mm.maple_tree import mas_find
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.mman import MS_ASYNC, MS_INVALIDATE, MS_SYNC, VM_LOCKED, VM_SHARED
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.shmem import fput
from pagerace.mm.sync import vfs_fsync_range
from pagerace.mm.vma import get_file


def do_msync(mm: mm_struct, start: ulong, len: ulong, flags: u32) -> s64:
    """sys_msync(): 0; -EINVAL; -EBUSY; -ENOMEM where something is not mapped.

    What is mapped behind a hole is written all the same.
    """
    if flags & u32(~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0:
        return -EINVAL
    if flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC:
        return -EINVAL
    end = start + len
    if end < start:
        return -ENOMEM
    unmapped_error: s64 = 0
    error: s64 = 0
    mmap_read_lock(mm)
    while start < end and error == 0:
        vma = mas_find(mm, start)
        if vma is None:
            error = -ENOMEM
        else:
            if start < vma.vm_start:
                unmapped_error = -ENOMEM
                start = vma.vm_start
                if flags == MS_ASYNC:
                    error = -ENOMEM
            if flags & MS_INVALIDATE != 0 and vma.vm_flags & VM_LOCKED != 0 and start < end:
                error = -EBUSY
            file = vma.vm_file
            first = start - vma.vm_start + vma.vm_pgoff
            behind = min(vma.vm_end, end) - vma.vm_start + vma.vm_pgoff
            written = flags & MS_SYNC != 0 and vma.vm_flags & VM_SHARED != 0 and start < end
            start = max(start, vma.vm_end)
            if written and file is not None and first < behind and error == 0:
                get_file(file)
                mmap_read_unlock(mm)
                vfs_fsync_range(file, first, behind)
                fput(file)
                mmap_read_lock(mm)
    mmap_read_unlock(mm)
    return unmapped_error if error == 0 else error
