"""Page faults of user space: arch/x86/mm/fault.c."""

from __future__ import annotations

from pagerace.lang import per_thread, u1
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import pte_t
from pagerace.machine.tlb import load, store
from pagerace.mm.memory import handle_mm_fault
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    VM_FAULT_OOM,
    Reclaim,
    Vma,
    mm_struct,
    vm_area_struct,
    vm_fault,
)
from pagerace.mm.mman import VM_ACCESS_FLAGS, VM_WRITE
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock

faults = per_thread(vm_fault)


def user_store(mm: mm_struct, address: ulong) -> bool:
    """A store instruction of a user thread, tried until it is done.

    False: the thread got a signal instead.
    """
    while not store(address, 1):
        if not do_user_addr_fault(mm, address, FAULT_FLAG_WRITE):
            return False
    return True


def user_load(mm: mm_struct, address: ulong) -> bool:
    """A load instruction of a user thread, as user_store() is a store instruction."""
    while not load(address):
        if not do_user_addr_fault(mm, address, 0):
            return False
    return True


def do_user_addr_fault(mm: mm_struct, address: ulong, flags: u1) -> bool:
    """do_user_addr_fault(): False if it ends in a signal."""
    if Counting.on:
        counters.faults += 1
    mmap_read_lock(mm)
    vma = find_vma(mm, address)
    if vma is None or bad_area(vma, address, flags):
        mmap_read_unlock(mm)
        if Counting.on:
            counters.faults_sigsegv += 1
        return False  # SIGSEGV
    vmf = faults.current
    if Vma.flags:
        vmf.sigbus = False
    vmf.vma = vma
    vmf.address = address
    vmf.flags = flags
    ret = handle_mm_fault(vmf)
    mmap_read_unlock(mm)
    if Machine.full_size and not Reclaim.lists:
        assert ret != VM_FAULT_OOM, "no memory is left, and there is no OOM killer"
    forget(vmf)
    if Counting.on:
        if vmf.sigbus:
            counters.faults_sigbus += 1
        else:
            counters.accounted += 1  # mm_account_fault()
    return not vmf.sigbus


def bad_area(vma: vm_area_struct, address: ulong, flags: u1) -> bool:
    """bad_area_nosemaphore(): the address is before the VMA, or it has no such right."""
    return Vma.flags and (address < vma.vm_start or access_error(vma, flags))


def access_error(vma: vm_area_struct, flags: u1) -> bool:
    """access_error(): what can be written to or executed can be read on x86."""
    if flags & FAULT_FLAG_WRITE != 0:
        return vma.vm_flags & VM_WRITE == 0
    return vma.vm_flags & VM_ACCESS_FLAGS == 0


def forget(vmf: vm_fault) -> None:
    """The fault's stack frame is gone: what it held is no part of the state."""
    vmf.address = 0
    vmf.flags = 0
    vmf.orig_pte = pte_t()
