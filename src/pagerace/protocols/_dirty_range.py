"""A range of a file whose writes are tracked: what the bitmap has, and what the PTEs have."""

from __future__ import annotations

from pagerace.lang import Array, Struct, array, atomic
from pagerace.machine.memory import Machine, frames, version_t
from pagerace.machine.pgtable import pte_dirty, pte_pfn
from pagerace.machine.tables import pmd_trans_huge, pmdp_get
from pagerace.mm.mapping_dirty_helpers import (
    clean_record_shared_mapping_range,
    dirty_bitmap,
    wp_shared_mapping_range,
)
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.protocols import _walked
from pagerace.protocols._shared_file import mapping, pte_at


class tracker(Struct):
    """``returned``: the helper has; ``held[i]``: what page i held then."""

    returned: bool
    held: Array[version_t] = array(lambda: Machine.pages)


tracked = tracker()
bitmap = dirty_bitmap()


def clean_and_record() -> None:
    """Thread: clean what is dirty, and keep in a bitmap what was."""
    clean_record_shared_mapping_range(mapping, 0, Machine.pages, 0, bitmap, 0, 0)
    with atomic():
        for page in range(Machine.pages):
            tracked.held[page] = frames[pte_pfn(pte_at(page))].content
        tracked.returned = True


def old_writes_are_recorded() -> bool:
    """T5-S8: what was written to before the helper returned is in the bitmap, or is dirty."""
    for page in range(Machine.pages):
        if tracked.returned and not bitmap.bit[page] and not pte_dirty(pte_at(page)):
            return False
    return True


def new_writes_are_seen() -> bool:
    """T5-S8: what was written to since is dirty: the flush made each CPU look again."""
    for page in range(Machine.pages):
        pte = pte_at(page)
        if tracked.returned and frames[pte_pfn(pte)].content != tracked.held[page]:
            if not pte_dirty(pte):
                return False
    return True


def written_to_since() -> bool:
    """Sometimes: somebody writes when the helper has returned."""
    for page in range(Machine.pages):
        content = frames[pte_pfn(pte_at(page))].content
        if tracked.returned and content != tracked.held[page]:
            return True
    return False


def write_protect_range() -> None:
    """Thread: write-protect the range that _walked.py maps."""
    wp_shared_mapping_range(_walked.mapping, 0, Machine.pages)


def the_huge_page_stays() -> bool:
    """T5-S6, of a tracker: a huge page that cannot be written to is left alone, for a split
    would lose what it knows of writes, where there is no struct page to tell."""
    pmd = mm_find_pmd(_walked.mm, 0)
    return pmd is not None and pmd_trans_huge(pmdp_get(pmd))
