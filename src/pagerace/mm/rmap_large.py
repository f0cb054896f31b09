"""Who maps a large folio, and how often: include/linux/rmap.h, with Thp.anonymous.

A page of a large folio counts the PTEs that map it, the folio the PMD entries, and all of them
together.  Two address spaces at most are known by name: whether more map it, one bit says.
It is set when a second one comes, and cleared when one of the two has all mappings.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import atomic
from pagerace.machine.memory import count_t, ulong
from pagerace.mm.mm_types import (
    Thp,
    folio,
    folio_nr_pages,
    folio_page,
    linear_page_index,
    page_folio,
    vm_area_struct,
)
from pagerace.mm.page_flags import (
    entire_mapcount_dec,
    entire_mapcount_inc,
    folio_mapcount,
    folio_ref_count,
    folio_test_large,
    mapcount_dec,
    mapcount_inc,
)


def folio_add_large_mapcount(folio: folio, diff: count_t, vma: vm_area_struct) -> None:
    """folio_add_return_large_mapcount(): ``diff`` entries more, of the mm of a VMA."""
    mm = vma.vm_mm
    with atomic():  # folio_lock_large_mapcount()
        others = folio._large_mapcount != 0
        folio._large_mapcount += diff
        if folio._mm_id[0] is mm:
            folio._mm_id_mapcount[0] += diff
        elif folio._mm_id[1] is mm:
            folio._mm_id_mapcount[1] += diff
        elif folio._mm_id[0] is None:
            folio._mm_id[0] = mm
            folio._mm_id_mapcount[0] = diff
            if others:
                folio._mm_ids_shared = True
        elif folio._mm_id[1] is None:
            folio._mm_id[1] = mm
            folio._mm_id_mapcount[1] = diff
            folio._mm_ids_shared = True


def folio_sub_large_mapcount(folio: folio, diff: count_t, vma: vm_area_struct) -> None:
    """folio_sub_return_large_mapcount(): ``diff`` entries less."""
    mm = vma.vm_mm
    with atomic():  # folio_lock_large_mapcount()
        folio._large_mapcount -= diff
        for slot in range(2):
            if folio._mm_id[slot] is mm:
                folio._mm_id_mapcount[slot] -= diff
                if folio._mm_id_mapcount[slot] == 0:
                    folio._mm_id[slot] = None
        left = folio._large_mapcount
        if folio._mm_id_mapcount[0] == left or folio._mm_id_mapcount[1] == left:
            folio._mm_ids_shared = False


def forget_mms(folio: folio) -> None:
    """What a single page has not; in a step with the split."""
    folio._large_mapcount = 0
    folio._mm_ids_shared = False
    for slot in range(2):
        folio._mm_id[slot] = None
        folio._mm_id_mapcount[slot] = 0


def folio_maybe_mapped_shared(folio: folio) -> bool:
    """folio_maybe_mapped_shared() of include/linux/mm.h: by more than one mm?"""
    mapcount = folio_mapcount(folio)
    if not folio_test_large(folio) or mapcount <= 1:
        return mapcount > 1
    return folio._mm_ids_shared


def folio_add_rmap_pte(page: folio, vma: vm_area_struct) -> None:
    """__folio_add_rmap(), of one PTE; PTL held."""
    folio = page_folio(page)
    if Thp.anonymous and folio_test_large(folio):
        mapcount_inc(page)
        folio_add_large_mapcount(folio, 1, vma)
    else:
        mapcount_inc(folio)


def folio_remove_rmap_pte(page: folio, vma: vm_area_struct) -> None:
    """folio_remove_rmap_pte(): one PTE less; PTL held."""
    folio = page_folio(page)
    if Thp.anonymous and folio_test_large(folio):
        folio_sub_large_mapcount(folio, 1, vma)
        mapcount_dec(page)
    else:
        mapcount_dec(folio)


def folio_add_rmap_pmd(page: folio, vma: vm_area_struct) -> None:
    """__folio_add_rmap(), of a PMD entry; PML held."""
    folio = page_folio(page)
    if Thp.anonymous:
        entire_mapcount_inc(folio)
        folio_add_large_mapcount(folio, 1, vma)
    else:
        mapcount_inc(folio)


def folio_remove_rmap_pmd(page: folio, vma: vm_area_struct) -> None:
    """folio_remove_rmap_pmd(): one PMD entry less; PML held."""
    folio = page_folio(page)
    if Thp.anonymous:
        folio_sub_large_mapcount(folio, 1, vma)
        entire_mapcount_dec(folio)
    else:
        mapcount_dec(folio)


def folio_add_anon_rmap_ptes(folio: folio, vma: vm_area_struct, exclusive: bool) -> None:
    """folio_add_anon_rmap_ptes(), of all its pages: they are mapped by PTEs, too; PML held.

    ``exclusive``: RMAP_EXCLUSIVE, nobody else has any of them.
    """
    nr = count_t(folio_nr_pages(folio))
    for n in range(nr):
        page = folio_page(folio, n)
        mapcount_inc(page)
        if exclusive:
            page.PG_anon_exclusive = True
    folio_add_large_mapcount(folio, nr, vma)


def folio_add_new_anon_rmap(folio: folio, vma: vm_area_struct, address: ulong) -> None:
    """folio_add_new_anon_rmap(), RMAP_EXCLUSIVE, of a huge page: one PMD entry maps it."""
    with atomic():  # nobody else knows the folio yet
        folio.anon_vma = vma.anon_vma
        folio.index = linear_page_index(vma, address)
        folio.PG_anon_exclusive = True
    folio_add_rmap_pmd(folio, vma)


def wp_can_reuse_large_anon_folio(folio: folio) -> bool:
    """__wp_can_reuse_large_anon_folio() of mm/memory.c: has one mm all mappings and references?

    Where one page of it is all that is mapped, the rest had better be freed.
    """
    mapcount = folio_mapcount(folio)
    if mapcount <= 1 or folio._mm_ids_shared:
        return False
    with atomic():  # folio_lock_large_mapcount()
        alone = folio_mapcount(folio) == folio_ref_count(folio) and not folio._mm_ids_shared
    return alone
