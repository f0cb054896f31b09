"""How a read fault maps the neighbours of its page: what kernels do, and what was proposed.

    V5_10          alloc_set_pte(): allocates or not, and takes the PTL for its caller
    ALL_OLD        the same, each entry old (5c0a85fad949, v4.7, reverted)
    WILL_V1        each entry old, then that of the faulting address made young again
    LINUS          the table first, as for any fault; then the page cache
    KIRILL         a table at hand; ``vmf->address`` goes from page to page
    V5_12          a table at hand; the address of the fault stays what it is (as merged)
    V6_6           the same; tables may vanish (mm/table_walk.py), and it knows of that
    V6_7           the same, and who has no table at hand installs none
    V6_18          the same, and a folio that is in reach is mapped whole
"""

from __future__ import annotations

from enum import Enum

from pagerace.lang import Config, Struct, per_thread
from pagerace.machine.arch import Arch
from pagerace.machine.memory import Machine, ulong

PAGE_SHIFT = 12  # of fault_around_bytes alone: addresses are counted in pages


class Prefault(Enum):
    """Which entries of a fault-around are created old.

    ARCH: those beside the faulting address, where arch_wants_old_prefaulted_pte() (v5.12).
    OLD: those, on any machine.  YOUNG: none.  ALL_OLD: that of the faulting address too.
    FIXED_UP: where the architecture asks, all; and then the faulting one is made young.
    """

    ARCH = 0
    YOUNG = 1
    OLD = 2
    ALL_OLD = 3
    FIXED_UP = 4


class FaultAround(Config):
    """The kernel's choice.  The defaults are v5.12, of a file that has no ->map_pages().

    ``map_pages``: it has.  ``fault_around_bytes``: the window, a power of two; 4096 is the
    page alone.
    ``alloc_set_pte``: v5.10's function of that name.  ``allocate_first``: a table is there
    before the page cache is looked at.  ``address_moves``: the map loop keeps its place in
    ``vmf->address``.
    ``address_restored``, ``huge_put``: what versions under review forgot where they had
    nothing to map, and where a huge page was mapped already.  ``ret_random``,
    ``changed_is_success``: what others gave back from finish_fault().
    ``prealloc_checked``: filemap_map_pmd() looks whether it has a table to install.
    ``rcu_around``: do_fault_around() enters the RCU section, around ->map_pages().
    ``whole_folios``: a large folio is mapped whole, where VMA, table and i_size allow it.
    """

    map_pages: bool = False
    fault_around_bytes: int = 65536
    prefault: Prefault = Prefault.ARCH
    alloc_set_pte: bool = False
    allocate_first: bool = False
    address_moves: bool = False
    address_restored: bool = True
    huge_put: bool = True
    ret_random: bool = False
    changed_is_success: bool = False
    prealloc_checked: bool = False
    rcu_around: bool = False
    whole_folios: bool = False


V5_10 = FaultAround(map_pages=True, alloc_set_pte=True, prefault=Prefault.YOUNG)
# Linux kernel commit 5c0a85fad949 ("mm: make faultaround produce old ptes"), reverted by
# commit 315d09bf30c2
ALL_OLD = V5_10.replace(prefault=Prefault.ALL_OLD)
WILL_V1 = V5_10.replace(prefault=Prefault.FIXED_UP)
LINUS = FaultAround(map_pages=True, allocate_first=True)
KIRILL = FaultAround(map_pages=True, address_moves=True, prefault=Prefault.YOUNG)
KIRILL_ADDRESS_LOST = KIRILL.replace(address_restored=False)
KIRILL_HUGE_KEPT = KIRILL.replace(huge_put=False)
KIRILL_RET_RANDOM = KIRILL.replace(ret_random=True)
KIRILL_CHANGED_IS_SUCCESS = KIRILL.replace(changed_is_success=True)
# Linux kernel commit f9ce0be71d1f ("mm: Cleanup faultaround and finish_fault() codepaths")
# (in v5.12), commit 46bdb4277f98 and commit 9d3af4b448a1
V5_12 = FaultAround(map_pages=True)
V6_6 = V5_12
# Linux kernel commit 9aa1345d66b8 ("mm: fix oops when filemap_map_pmd() without
# prealloc_pte") (in v6.7)
V6_7 = V6_6.replace(prealloc_checked=True)
# T1(c): do_fault_around() enters the RCU section (in v6.19)
V6_19 = V6_7.replace(whole_folios=True, rcu_around=True)
V6_18 = V6_7.replace(whole_folios=True)


class xa_state(Struct):
    """struct xa_state of include/linux/xarray.h: the place of a walk over the page cache."""

    xa_index: ulong


xa_states = per_thread(xa_state)


def fault_around_pages() -> int:
    """``fault_around_bytes >> PAGE_SHIFT``."""
    return FaultAround.fault_around_bytes >> PAGE_SHIFT


def should_fault_around() -> bool:
    """should_fault_around(): is the window more than the page itself?"""
    if FaultAround.map_pages:
        return fault_around_pages() > 1
    else:
        return False


def arch_wants_old_prefaulted_pte() -> bool:
    """arch_wants_old_prefaulted_pte(): arm64 says yes where the hardware sets the flag.

    Linux kernel commit 46bdb4277f98 (in v5.12); arm64's answer is commit 0388f9c74330.
    """
    return Machine.arch is Arch.ARM64_AFDBM


def created_old(prefault: bool) -> bool:
    """Is an entry created old?  ``prefault``: it is not that of the faulting address."""
    if FaultAround.prefault is Prefault.ARCH:
        return prefault and arch_wants_old_prefaulted_pte()
    if FaultAround.prefault is Prefault.FIXED_UP:
        return arch_wants_old_prefaulted_pte()
    if FaultAround.prefault is Prefault.OLD:
        return prefault
    return FaultAround.prefault is Prefault.ALL_OLD
