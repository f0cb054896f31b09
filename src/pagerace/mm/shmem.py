"""Files on no disk: mm/shmem.c, and the references to a file of fs/file_table.c."""

from __future__ import annotations

from pagerace.lang import atomic
from pagerace.machine.memory import ulong
from pagerace.mm.fs import i_size_read
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import address_space, mappings, vm_area_struct
from pagerace.mm.mman import FMODE_READ, FMODE_WRITE
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.truncate import truncate_inode_pages


def alloc_file(size: ulong, shmem: bool) -> address_space | None:
    """alloc_file() and new_inode() of fs/: an open file with an empty page cache, or None."""
    mapping = mappings.alloc()
    if mapping is not None:
        with atomic():  # nobody else knows it yet
            mapping.i_size = size
            mapping.shmem = shmem
            mapping.i_mmap_first = None
            mapping.i_mmap_last = None
            mapping.f_count = 1
            mapping.f_mode = FMODE_READ | FMODE_WRITE
            init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    return mapping


def shmem_file_setup(size: ulong) -> address_space | None:
    """shmem_file_setup(): a file of that many pages, all of them holes."""
    return alloc_file(size, True)


def shmem_zero_setup(vma: vm_area_struct) -> bool:
    """shmem_zero_setup(): what MAP_SHARED | MAP_ANONYMOUS maps; False: there is no memory."""
    file = shmem_file_setup(vma.vm_end - vma.vm_start)
    if file is None:
        return False
    vma.vm_file = file
    return True


def fput(file: address_space | None) -> None:
    """fput() of fs/file_table.c: the last one who has a file on no disk takes it with him.

    A file on a disk has its name, and its page cache stays.
    """
    if file is None:
        return
    with atomic():
        file.f_count -= 1
        last = file.f_count == 0
    if last and file.shmem:
        truncate_inode_pages(file, 0, i_size_read(file))  # shmem_evict_inode()
        mappings.free(file)
