"""The system calls, as who makes them sees them: numbers in, a number or -errno out.

A process is the number of its mm in ``mms``, a file the number of its page cache in
``mappings``.  Addresses and lengths are in pages.  They want Vma.flags.
"""

from __future__ import annotations

from pagerace.lang import s32, s64, u32
from pagerace.machine.memory import file_pages, frames, ulong, version_t
from pagerace.mm.anon import Anon
from pagerace.mm.brk import do_brk
from pagerace.mm.errno import ENOMEM
from pagerace.mm.fork import dup_mm, mm_alloc, mmput
from pagerace.mm.lockdep import LockClass
from pagerace.mm.madvise import do_madvise
from pagerace.mm.mincore import mincore
from pagerace.mm.mm_types import address_space, mappings, mms, ptdescs
from pagerace.mm.mmap import ksys_mmap_pgoff
from pagerace.mm.mprotect import do_mprotect_pkey
from pagerace.mm.msync import do_msync
from pagerace.mm.munmap import __vm_munmap
from pagerace.mm.page_alloc import alloc_page, memblock_free_huge
from pagerace.mm.read_write import do_ftruncate, vfs_read, vfs_write
from pagerace.mm.remap import do_mremap
from pagerace.mm.shmem import alloc_file, fput, shmem_file_setup
from pagerace.mm.spinlock import spin_lock_init
from pagerace.mm.sync import vfs_fsync


def boot() -> None:
    """mem_init(): the zero page, and the locks of tables.  Before anything else, alone."""
    alloc_page()
    memblock_free_huge()
    assert frames.allocated(frames[Anon.zero_pfn]), "the zero page is not the first page"
    for table in ptdescs:
        spin_lock_init(table.ptl, LockClass.PAGE_TABLE_LOCK)


def sys_process_create() -> s64:
    """The first process: its number, or -ENOMEM."""
    mm = mm_alloc()
    if mm is None:
        return -ENOMEM
    return s64(mms.index(mm))


def sys_file_create(pages: ulong, mode: u32) -> s64:
    """open() of a file on a disk, of that length: its number, or -ENOMEM."""
    file = alloc_file(pages, False)
    if file is None:
        return -ENOMEM
    file.f_mode = mode
    file.i_block = mappings.index(file) * file_pages()
    return s64(mappings.index(file))


def sys_memfd_create(pages: ulong) -> s64:
    """memfd_create() and ftruncate(): its number, or -ENOMEM."""
    file = shmem_file_setup(pages)
    if file is None:
        return -ENOMEM
    return s64(mappings.index(file))


def sys_mmap(
    process: u32, addr: ulong, len: ulong, prot: u32, flags: u32, file: s32, pgoff: ulong
) -> s64:
    """mmap(): the address or -errno.  ``file``: -1 for none."""
    mapped: address_space | None = None
    if file >= 0:
        mapped = mappings[u32(file)]
    return ksys_mmap_pgoff(mms[process], addr, len, prot, flags, mapped, pgoff)


def sys_munmap(process: u32, addr: ulong, len: ulong) -> s64:
    """munmap()."""
    return __vm_munmap(mms[process], addr, len)


def sys_mprotect(process: u32, start: ulong, len: ulong, prot: u32) -> s64:
    """mprotect()."""
    return do_mprotect_pkey(mms[process], start, len, prot)


def sys_fork(process: u32) -> s64:
    """fork(): the number of the child, or -ENOMEM."""
    mm = dup_mm(mms[process])
    if mm is None:
        return -ENOMEM
    return s64(mms.index(mm))


def sys_exit(process: u32) -> s64:
    """exit(): its memory is gone."""
    mmput(mms[process])
    return 0


def sys_mremap(
    process: u32, addr: ulong, old_len: ulong, new_len: ulong, flags: u32, new_addr: ulong
) -> s64:
    """mremap()."""
    return do_mremap(mms[process], addr, old_len, new_len, flags, new_addr)


def sys_madvise(process: u32, start: ulong, len: ulong, behavior: u32) -> s64:
    """madvise()."""
    return do_madvise(mms[process], start, len, behavior)


def sys_mincore(process: u32, start: ulong, len: ulong) -> s64:
    """mincore(): 0 or an error; the answers are in ``mincore_all``."""
    return mincore(mms[process], start, len)


def sys_msync(process: u32, start: ulong, len: ulong, flags: u32) -> s64:
    """msync()."""
    return do_msync(mms[process], start, len, flags)


def sys_close(file: u32) -> s64:
    """close() of the only descriptor of a file."""
    fput(mappings[file])
    return 0


def sys_ftruncate(file: u32, pages: ulong) -> s64:
    """ftruncate(), to whole pages."""
    return do_ftruncate(mappings[file], pages)


def sys_pwrite(file: u32, index: ulong, value: version_t) -> s64:
    """pwrite() of what page ``index`` holds: 8, the bytes of it, or -errno."""
    return vfs_write(mappings[file], index, value)


def sys_pread(file: u32, index: ulong) -> s64:
    """pread() of what page ``index`` holds, to ``user_buffer``: 8, 0 at the end, or -errno."""
    return vfs_read(mappings[file], index)


def sys_fsync(file: u32) -> s64:
    """fsync()."""
    vfs_fsync(mappings[file])
    return 0


def sys_brk(process: u32, brk: ulong) -> s64:
    """brk(): the end of the heap, which is the old one if it cannot be ``brk``."""
    return s64(do_brk(mms[process], brk))
