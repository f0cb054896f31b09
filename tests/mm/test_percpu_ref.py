"""mm/percpu_ref.py: each CPU counts alone, until somebody asks for the sum."""

from __future__ import annotations

import pytest

from pagerace.lang.structures import KernelPythonError
from pagerace.mm import syscalls
from pagerace.mm.mm_types import mms, pte_refs
from pagerace.mm.mman import MADV_DONTNEED
from pagerace.mm.percpu_ref import (
    PERCPU_COUNT_BIAS,
    percpu_ref,
    percpu_ref_get,
    percpu_ref_init,
    percpu_ref_is_alone,
    percpu_ref_is_dying,
    percpu_ref_kill,
    percpu_ref_put_many,
    percpu_ref_resurrect,
    percpu_ref_switch_to_atomic_rcu,
    percpu_ref_tryget,
)
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_generic import pte_maps, pte_offset_map, pte_unmap
from pagerace.mm.rcupdate import Rcu
from pagerace.mm.table_variants import with_window
from tests.kernel import fresh_machine
from tests.mm.processes import machine, mmap, store


def new_ref() -> percpu_ref:
    ref = percpu_ref()
    percpu_ref_init(ref)
    return ref


def test_in_percpu_mode_a_cpu_counts_alone() -> None:
    with fresh_machine():
        ref = new_ref()
        assert percpu_ref_tryget(ref)
        percpu_ref_get(ref)
        assert ref.percpu_count[0] == 2
        assert ref.count == PERCPU_COUNT_BIAS() + 1
        assert not percpu_ref_put_many(ref, 3)  # nobody knows
        assert ref.percpu_count[0] == 255  # -1
        percpu_ref_get(ref)
        assert ref.percpu_count[0] == 0


def test_killed_it_is_one_counter_that_ends_at_zero() -> None:
    with fresh_machine():
        ref = new_ref()
        percpu_ref_get(ref)
        percpu_ref_get(ref)
        percpu_ref_kill(ref)
        assert percpu_ref_is_dying(ref)
        assert not percpu_ref_put_many(ref, 1)  # what its own counter has is not there yet
        assert ref.count == PERCPU_COUNT_BIAS()
        assert not percpu_ref_switch_to_atomic_rcu(ref)
        assert percpu_ref_is_alone(ref)
        assert percpu_ref_put_many(ref, 1)
        assert not percpu_ref_tryget(ref)


def test_the_last_may_be_gone_when_the_sum_is_known() -> None:
    with fresh_machine():
        ref = new_ref()
        percpu_ref_kill(ref)
        assert percpu_ref_switch_to_atomic_rcu(ref)


def test_resurrected_it_is_what_it_was() -> None:
    with fresh_machine():
        ref = new_ref()
        percpu_ref_get(ref)
        percpu_ref_kill(ref)
        percpu_ref_switch_to_atomic_rcu(ref)
        percpu_ref_resurrect(ref)
        assert not percpu_ref_is_dying(ref)
        assert ref.count == PERCPU_COUNT_BIAS() + 2
        assert ref.percpu_count[0] == 0
        percpu_ref_put_many(ref, 1)
        assert ref.percpu_count[0] == 255


def test_what_is_dying_is_not_killed_and_what_lives_not_resurrected() -> None:
    with fresh_machine():
        ref = new_ref()
        with pytest.raises(KernelPythonError, match="double-free"):
            percpu_ref_resurrect(ref)
        percpu_ref_kill(ref)
        with pytest.raises(KernelPythonError, match="double-free"):
            percpu_ref_kill(ref)


def test_a_table_that_is_used_is_in_percpu_mode_again() -> None:
    with machine(*with_window("percpu-ref", 4096), Rcu()):
        mmap(0, 4)
        store(0, 0)
        store(0, 3)
        ref = pte_refs[0]
        assert ref.percpu_count[0] == 2
        assert syscalls.sys_madvise(0, 0, 1, MADV_DONTNEED) == 0
        assert not percpu_ref_is_dying(ref)
        assert ref.count - PERCPU_COUNT_BIAS() + ref.percpu_count[0] == 2
        pmd = mm_find_pmd(mms[0], 0)
        assert pmd is not None
        before = ref.percpu_count[0]
        map = pte_maps.current
        assert pte_offset_map(mms[0], pmd, 0, map) is not None
        assert (ref.percpu_count[0] - before) & 255 == 1
        pte_unmap(map)
        assert ref.percpu_count[0] == before
