"""A process with private anonymous memory: the set-up and the threads of claims about calls.

CPU 0 makes a system call, and CPU 1 is another thread of the process, which stores.
"""

from __future__ import annotations

from pagerace.lang import Struct, atomic
from pagerace.machine.cpu import cpus, tlb_entry
from pagerace.machine.memory import Machine, frames, pfn_t, version_t
from pagerace.machine.pgtable import pte_pfn, pte_t, set_pte
from pagerace.machine.tables import page_tables, set_pmd, table_entry
from pagerace.mm.anon import mk_anon_pte, page_add_new_anon_rmap
from pagerace.mm.anon_vma import anon_vma_prepare
from pagerace.mm.fault import user_store
from pagerace.mm.fork import dup_mmap, mm_alloc
from pagerace.mm.lockdep import LockClass
from pagerace.mm.maple_tree import mas_store
from pagerace.mm.mm_types import address_space, mappings, mm_struct, page_ptdesc, page_to_pfn
from pagerace.mm.mman import (
    FMODE_READ,
    FMODE_WRITE,
    PROT_READ,
    VM_ACCOUNT,
    VM_MAYREAD,
    VM_MAYWRITE,
    VM_READ,
    VM_WRITE,
)
from pagerace.mm.mprotect import do_mprotect_pkey
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.pgtable import mm_find_pmd, pte_entry
from pagerace.mm.pgtable_levels import load_new_mm_cr3
from pagerace.mm.read_write import do_ftruncate
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.spinlock import spin_lock_init
from pagerace.mm.vma import __vma_link_file, vm_area_alloc, vma_set_page_prot


class process(Struct):
    """``mm``: the process; ``child``: what fork() made of it, while it is made or later.

    ``returned``: the call has, and the page held ``content`` at that moment.
    ``file``: what is mapped, if it is a file.
    """

    mm: mm_struct | None = None
    child: mm_struct | None = None
    file: address_space | None = None
    returned: bool
    content: version_t


this = process()


def setup() -> None:
    """One page, which a store on CPU 1 has brought: its TLB has it, writable and dirty."""
    alloc_page()  # the zero page
    mm = mm_alloc()
    child = mm_alloc()
    add_page_table(mm)
    add_page_table(child)
    page = alloc_page()
    this.mm = mm
    this.child = child
    if mm is not None and page is not None:
        for cpu in range(Machine.cpus):
            load_new_mm_cr3(cpu, mm)
        mm.cpu_bitmap = 3
        vma = vm_area_alloc(mm)
        pmd = mm_find_pmd(mm, 0)
        if vma is not None and pmd is not None:
            vma.vm_end = 1
            vma.vm_flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_ACCOUNT
            vma_set_page_prot(vma)
            mas_store(mm, vma)
            anon_vma_prepare(vma)
            page_add_new_anon_rmap(page, vma, 0)
            set_pte(pte_entry(pmd, 0), mk_anon_pte(page))
        frames[page_to_pfn(page)].content = 1
        cpus[1].tlb[0] = tlb_entry(
            present=True, writable=True, dirty=True, pfn=page_to_pfn(page)
        )


def setup_file() -> None:
    """A file of one page, which is cached, in a private mapping that nobody has touched."""
    alloc_page()  # the zero page
    mm = mm_alloc()
    add_page_table(mm)
    file = mappings.alloc()
    page = alloc_page()
    this.mm = mm
    this.file = file
    if mm is not None and file is not None and page is not None:
        init_rwsem(file.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
        file.i_size = 1
        file.f_mode = FMODE_READ | FMODE_WRITE
        file.i_pages[0] = page
        page.mapping = file
        for cpu in range(Machine.cpus):
            load_new_mm_cr3(cpu, mm)
        mm.cpu_bitmap = 3
        vma = vm_area_alloc(mm)
        if vma is not None:
            vma.vm_end = 1
            vma.vm_flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_ACCOUNT
            vma.vm_file = file
            vma_set_page_prot(vma)
            mas_store(mm, vma)
            __vma_link_file(vma, file)


def add_page_table(mm: mm_struct | None) -> None:
    """The only table of PTEs of an mm: tables do not come and go."""
    table = page_tables.alloc()
    if mm is not None and table is not None:
        spin_lock_init(page_ptdesc(table).ptl, LockClass.PAGE_TABLE_LOCK)
        pmd = mm_find_pmd(mm, 0)
        if pmd is not None:
            set_pmd(pmd, table_entry(page_tables.index(table)))


def pte_of(mm: mm_struct | None) -> pte_t:
    """The PTE of the page."""
    if mm is None:
        return pte_t()
    pmd = mm_find_pmd(mm, 0)
    if pmd is None:
        return pte_t()
    return pte_entry(pmd, 0).value


def note_content(pfn: pfn_t) -> None:
    """The call has returned: what is in the page now?"""
    with atomic():
        this.returned = True
        this.content = frames[pfn].content


def fork() -> None:
    """Thread: fork()."""
    mm = this.mm
    child = this.child
    if mm is not None and child is not None:
        dup_mmap(child, mm)
        note_content(pte_pfn(pte_of(child)))


def protect() -> None:
    """Thread: mprotect(PROT_READ)."""
    mm = this.mm
    if mm is not None:
        do_mprotect_pkey(mm, 0, 1, PROT_READ)
        note_content(pte_pfn(pte_of(mm)))


def truncate() -> None:
    """Thread: ftruncate() to nothing."""
    file = this.file
    if file is not None:
        do_ftruncate(file, 0)
        this.returned = True


def store() -> None:
    """Thread: two stores, or as many as there is no signal before."""
    mm = this.mm
    if mm is not None:
        for _ in range(2):
            if not user_store(mm, 0):
                return


def child_sees_no_store() -> bool:
    """T3-S6: once fork() has returned, no store of the parent changes what the child reads."""
    if not this.returned:
        return True
    return frames[pte_pfn(pte_of(this.child))].content == this.content


def no_store_gets_through() -> bool:
    """Once mprotect(PROT_READ) has returned, the page does not change any more."""
    if not this.returned:
        return True
    return frames[pte_pfn(pte_of(this.mm))].content == this.content


def nothing_behind_the_end() -> bool:
    """Once ftruncate() has returned, nothing is mapped that was behind the new end."""
    return not this.returned or not pte_of(this.mm).present


def copied_while_it_is_cut() -> bool:
    """Sometimes: the file has no page, and a private copy of its page is mapped."""
    file = this.file
    return file is not None and file.i_pages[0] is None and pte_of(this.mm).present


def parent_has_copied() -> bool:
    """Sometimes: the parent has stored after fork(), to a page of its own."""
    return this.returned and pte_pfn(pte_of(this.mm)) != pte_pfn(pte_of(this.child))
