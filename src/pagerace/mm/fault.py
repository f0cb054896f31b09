"""Page faults of user space: arch/x86/mm/fault.c."""

from __future__ import annotations

from pagerace.lang import per_thread
from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import pte_t
from pagerace.machine.tlb import store
from pagerace.mm.memory import handle_mm_fault
from pagerace.mm.mm_types import mm_struct, vm_fault
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock

faults = per_thread(vm_fault)


def user_store(mm: mm_struct, address: ulong) -> bool:
    """A store instruction of a user thread, tried until it is done.

    False: the thread got a signal instead.
    """
    while not store(address):
        if not do_user_addr_fault(mm, address):
            return False
    return True


def do_user_addr_fault(mm: mm_struct, address: ulong) -> bool:
    """do_user_addr_fault(), of a write: False if it ends in a signal."""
    mmap_read_lock(mm)
    vma = find_vma(mm, address)
    if vma is None:
        mmap_read_unlock(mm)
        return False  # SIGSEGV
    vmf = faults.current
    vmf.vma = vma
    vmf.address = address
    handle_mm_fault(vmf)
    mmap_read_unlock(mm)
    forget(vmf)
    return True


def forget(vmf: vm_fault) -> None:
    """The fault's stack frame is gone: what it held is no part of the state."""
    vmf.address = 0
    vmf.orig_pte = pte_t()
