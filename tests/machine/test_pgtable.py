from __future__ import annotations

from pagerace.machine.pgtable import (
    native_ptep_get_and_clear,
    page_table,
    pfn_pte,
    pte_dirty,
    pte_mkclean,
    pte_mkdirty,
    pte_mkwrite,
    pte_mkyoung,
    pte_none,
    pte_offset_kernel,
    pte_pfn,
    pte_present,
    pte_same,
    pte_t,
    pte_write,
    pte_wrprotect,
    ptep_get,
    set_pte,
)


def test_a_pte_of_zero_is_none() -> None:
    assert pte_none(pte_t())
    assert not pte_present(pte_t())
    assert not pte_none(pte_t(dirty=True))


def test_each_helper_changes_one_bit() -> None:
    pte = pfn_pte(2, False)
    assert pte_pfn(pte) == 2
    assert pte_present(pte)
    assert pte_mkdirty(pte) == pte.replace(dirty=True)
    assert pte_mkyoung(pte) == pte.replace(accessed=True)
    assert pte_mkwrite(pte) == pfn_pte(2, True)
    assert pte_wrprotect(pte_mkwrite(pte)) == pte
    assert pte_mkclean(pte_mkdirty(pte)) == pte
    assert pte_dirty(pte_mkdirty(pte))
    assert pte_write(pte_mkwrite(pte))
    assert not pte_same(pte, pte_mkdirty(pte))


def test_an_entry_is_read_written_and_exchanged_whole() -> None:
    entry = pte_offset_kernel(page_table(), 0)
    pte = pte_mkdirty(pfn_pte(1, True))
    set_pte(entry, pte)
    assert ptep_get(entry) == pte
    assert native_ptep_get_and_clear(entry) == pte
    assert pte_none(ptep_get(entry))
