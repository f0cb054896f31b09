"""TLBs of full size: two levels, set-associative, and paging-structure caches.

    first level    data: 4K and 2M apart; instructions: 4K and 2M apart
    second level   one for all

The default sizes are those of Skylake: Intel 64 and IA-32 Architectures Optimization Reference
Manual (248966), "TLB Parameters of the Skylake Microarchitecture".  Intel publishes neither
how entries are replaced nor how large the paging-structure caches are.  Here the first level
has tree pseudo-LRU, the second and the paging-structure caches are round robin; a fill goes to
both levels, and what one level drops stays in the other.  PCIDs are not modelled: a write of
CR3 forgets everything.  How the caches of tables are used and forgotten is that of the Software
Developer's Manual, volume 3, 4.10.3 and 4.10.4: INVLPG drops all of them.

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import Array, Config, Pool, Struct, array, pool, s32, u16, u32, u64
from pagerace.machine.counters import Counting, counters
from pagerace.machine.cpu import cpus, processor, tlb_entry
from pagerace.machine.entry import pte_slot
from pagerace.machine.memory import Machine, pfn_t, ulong
from pagerace.machine.pgtable import pte_offset_kernel, ptrs_per_pte
from pagerace.machine.tables import (
    index_at,
    load_table_entry,
    page_tables,
    pages_below,
    pmd_leaf,
    upper_tables,
)


class Tlb(Config):
    """Sets and ways.  Sets, and ways of the first level, are powers of two.

    ``l1_*``: data; ``l1i_*``: instructions; ``*_huge``: for leaves of the PMD.  ``pde``,
    ``pdpte``, ``pml4e``, ``pml5e``: entries of the paging-structure cache for those of a PMD, a
    PUD, a P4D (the PGD of four levels) and a PGD of five; 0: there is none.
    """

    l1_sets: int = 16
    l1_ways: int = 4
    l1_huge_sets: int = 8
    l1_huge_ways: int = 4
    l1i_sets: int = 16
    l1i_ways: int = 8
    l1i_huge_sets: int = 1
    l1i_huge_ways: int = 8
    l2_sets: int = 128
    l2_ways: int = 12
    pde: int = 32
    pdpte: int = 4
    pml4e: int = 2
    pml5e: int = 1


# Parts: four of the first level, and the second level.  Each is some sets of a CPU's array.
DATA, DATA_HUGE, CODE, CODE_HUGE, SECOND = 0, 1, 2, 3, 4


def sets_of(part: u32) -> u32:
    """Sets of a part."""
    if part == DATA:
        return Tlb.l1_sets
    if part == DATA_HUGE:
        return Tlb.l1_huge_sets
    if part == CODE:
        return Tlb.l1i_sets
    if part == CODE_HUGE:
        return Tlb.l1i_huge_sets
    return Tlb.l2_sets


def ways_of(part: u32) -> u32:
    """Ways of each of its sets."""
    if part == DATA:
        return Tlb.l1_ways
    if part == DATA_HUGE:
        return Tlb.l1_huge_ways
    if part == CODE:
        return Tlb.l1i_ways
    if part == CODE_HUGE:
        return Tlb.l1i_huge_ways
    return Tlb.l2_ways


def first_set_of(part: u32) -> u32:
    """Where its sets begin."""
    first: u32 = 0
    for before in range(SECOND):
        if before < part:
            first += sets_of(before)
    return first


def all_sets() -> int:
    """Sets of all parts of a CPU; a check has none of these."""
    if not Machine.full_size:
        return 1
    return first_set_of(SECOND) + sets_of(SECOND)


def most_ways() -> int:
    """Ways for which each set has room."""
    if not Machine.full_size:
        return 1
    return max(ways_of(part) for part in range(SECOND + 1))


def cache_size(level: u32) -> u32:
    """Entries of the paging-structure cache of a level, 2 to 5."""
    if level == 2:
        return Tlb.pde
    if level == 3:
        return Tlb.pdpte
    if level == 4:
        return Tlb.pml4e
    return Tlb.pml5e


def all_caches() -> int:
    """Entries of the paging-structure caches of all levels."""
    if not Machine.full_size:
        return 1
    return sum(cache_size(level) for level in range(2, 6))


def cache_start(level: u32) -> u32:
    """Where they begin."""
    start: u32 = 0
    for before in range(2, 5):
        if before < level:
            start += cache_size(before)
    return start


class tlb_set(Struct):
    """One set.  ``tag[w]``: key_of() of what is in way w; 0: nothing.

    ``state``: for the first level the bits of a tree, node n at bit n, each of which points
    away from what was used last; for the second level the way that is replaced next.
    """

    tag: Array[u64] = array(lambda: most_ways())
    entry: Array[tlb_entry] = array(lambda: most_ways())
    state: u16


class translations(Struct):
    """What a CPU knows of its tables.

    ``table_tag[i]``: which part of the address space the entry of a paging-structure cache is
    for, plus 1; ``table[i]``: the table that translates it.  ``table_next[level]``: the entry
    that is replaced next.
    ``last_key`` and ``last_entry``: the page of the last access that found one in the first
    level, data and code apart, and what was found; 0: look again.  No part of the machine.
    """

    sets: Array[tlb_set] = array(lambda: all_sets())
    last_key: Array[u64] = array(2)
    last_entry: Array[tlb_entry] = array(2)
    table_tag: Array[u64] = array(lambda: all_caches())
    table: Array[pfn_t] = array(lambda: all_caches())
    table_next: Array[u32] = array(lambda: 6)


# known[n] is that of CPU n, on a machine of full size.
known: Pool[translations] = pool(translations, lambda: Machine.cpus)


def number_of(page: ulong, huge: bool) -> u64:
    """The number of the page, of 4K or as large as a table of PTEs."""
    if huge:
        return u64(page) // ptrs_per_pte()
    return u64(page)


def key_of(page: ulong, huge: bool) -> u64:
    """What a way is known by: never 0, and another for a huge page."""
    key = (number_of(page, huge) << 2) | 1
    if huge:
        key |= 2
    return key


def set_for(cpu: processor, part: u32, page: ulong, huge: bool) -> tlb_set:
    """The set of a part in which a page can be."""
    number = number_of(page, huge) & (sets_of(part) - 1)
    return known[cpus.index(cpu)].sets[first_set_of(part) + u32(number)]


def find(ways: u32, where: tlb_set, key: u64) -> s32:
    """The way that has the key; -1: none."""
    for way in range(ways):
        if where.tag[way] == key:
            return s32(way)
    return -1


def touch(ways: u32, where: tlb_set, way: u32) -> None:
    """Tree pseudo-LRU: each node on the way to this one points to its other half."""
    state = where.state
    node: u32 = 1
    half: u32 = ways >> 1
    while half != 0:
        if way & half != 0:
            state &= ~(u16(1) << node)
            node = 2 * node + 1
        else:
            state |= u16(1) << node
            node = 2 * node
        half >>= 1
    where.state = state


def victim(ways: u32, where: tlb_set) -> u32:
    """Where the nodes of the tree point to."""
    node: u32 = 1
    while node < ways:
        node = 2 * node + ((u32(where.state) >> node) & 1)
    return node - ways


def insert(cpu: processor, part: u32, page: ulong, huge: bool, entry: tlb_entry) -> None:
    """Put an entry into a part that has none for the page: an empty way, or a victim's."""
    forget_last(cpu)
    where = set_for(cpu, part, page, huge)
    ways = ways_of(part)
    way: u32 = 0
    empty = find(ways, where, 0)
    if empty >= 0:
        way = u32(empty)
    elif part == SECOND:
        way = u32(where.state)
        where.state = u16((way + 1) % ways)
    else:
        way = victim(ways, where)
    where.tag[way] = key_of(page, huge)
    where.entry[way] = entry
    if part != SECOND:
        touch(ways, where, way)


def first_level(cpu: processor, page: ulong, part: u32) -> tlb_entry:
    """What the first level has for a page, which is present or not; ``part``: DATA or CODE.

    The page of the last access is known without a search, and its way needs no touch().
    """
    own = known[cpus.index(cpu)]
    key = key_of(page, False)
    if own.last_key[part >> 1] == key:
        return own.last_entry[part >> 1]
    entry = search_first_level(cpu, page, part)
    if entry.present:
        own.last_key[part >> 1] = key
        own.last_entry[part >> 1] = entry
    return entry


def forget_last(cpu: processor) -> None:
    """What any of the sets has is about to change: the next access has to search."""
    own = known[cpus.index(cpu)]
    own.last_key[0] = 0
    own.last_key[1] = 0


def search_first_level(cpu: processor, page: ulong, part: u32) -> tlb_entry:
    """The same, from the sets."""
    where = set_for(cpu, part, page, False)
    way = find(ways_of(part), where, key_of(page, False))
    if way >= 0:
        touch(ways_of(part), where, u32(way))
        return where.entry[way]
    if Machine.huge_pages:
        where = set_for(cpu, part + 1, page, True)
        way = find(ways_of(part + 1), where, key_of(page, True))
        if way >= 0:
            touch(ways_of(part + 1), where, u32(way))
            return of_page(where.entry[way], page)
    return tlb_entry()


def of_page(entry: tlb_entry, page: ulong) -> tlb_entry:
    """The entry of one page of a huge one."""
    inside = pfn_t(u64(page) % ptrs_per_pte())
    return entry.replace(pfn=entry.pfn + inside)


def cached(cpu: processor, page: ulong, part: u32) -> tlb_entry:
    """What the TLBs have for a page.  What the second level has comes to the first."""
    entry = first_level(cpu, page, part)
    if entry.present:
        return entry
    return second_level(cpu, page, part)


def second_level(cpu: processor, page: ulong, part: u32) -> tlb_entry:
    """What the second level has for a page that the first level does not have."""
    where = set_for(cpu, SECOND, page, False)
    way = find(ways_of(SECOND), where, key_of(page, False))
    if way >= 0:
        if Counting.on:
            counters.l2_hits += 1
        entry = where.entry[way]
        insert(cpu, part, page, False, entry)
        return entry
    if Machine.huge_pages:
        where = set_for(cpu, SECOND, page, True)
        way = find(ways_of(SECOND), where, key_of(page, True))
        if way >= 0:
            if Counting.on:
                counters.l2_hits += 1
            entry = where.entry[way]
            insert(cpu, part + 1, page, True, entry)
            return of_page(entry, page)
    if Counting.on:
        counters.tlb_misses += 1
    return tlb_entry()


def cache(cpu: processor, page: ulong, part: u32, huge: bool, entry: tlb_entry) -> None:
    """A fill: both levels have it; ``entry`` is that of the whole huge page."""
    first = part + 1 if huge else part
    if find(ways_of(first), set_for(cpu, first, page, huge), key_of(page, huge)) < 0:
        insert(cpu, first, page, huge, entry)
    if find(ways_of(SECOND), set_for(cpu, SECOND, page, huge), key_of(page, huge)) < 0:
        insert(cpu, SECOND, page, huge, entry)


def mark_dirty_in(cpu: processor, part: u32, page: ulong, huge: bool) -> None:
    """The copy in one part says dirty from now on, if there is one."""
    where = set_for(cpu, part, page, huge)
    way = find(ways_of(part), where, key_of(page, huge))
    if way >= 0:
        where.entry[way] = where.entry[way].replace(dirty=True)


def mark_cached_dirty(cpu: processor, page: ulong) -> None:
    """All copies of the entry that translates a page say dirty from now on."""
    forget_last(cpu)
    mark_dirty_in(cpu, DATA, page, False)
    mark_dirty_in(cpu, SECOND, page, False)
    if Machine.huge_pages:
        mark_dirty_in(cpu, DATA_HUGE, page, True)
        mark_dirty_in(cpu, SECOND, page, True)


def forget_in(cpu: processor, part: u32, page: ulong, huge: bool) -> None:
    """One part has no entry for the page any more."""
    where = set_for(cpu, part, page, huge)
    way = find(ways_of(part), where, key_of(page, huge))
    if way >= 0:
        where.tag[way] = 0


def forget(cpu: processor, page: ulong) -> None:
    """No TLB of the CPU has an entry for the page any more, of whichever size."""
    forget_last(cpu)
    forget_in(cpu, DATA, page, False)
    forget_in(cpu, CODE, page, False)
    forget_in(cpu, SECOND, page, False)
    if Machine.huge_pages:
        forget_in(cpu, DATA_HUGE, page, True)
        forget_in(cpu, CODE_HUGE, page, True)
        forget_in(cpu, SECOND, page, True)


def forget_tables(cpu: processor) -> None:
    """The paging-structure caches are empty."""
    own = known[cpus.index(cpu)]
    for i in range(len(own.table_tag)):
        own.table_tag[i] = 0


def forget_all(cpu: processor) -> None:
    """The CPU knows nothing any more."""
    own = known[cpus.index(cpu)]
    for where in own.sets:
        for way in range(len(where.tag)):
            where.tag[way] = 0
        where.state = 0
    forget_last(cpu)
    forget_tables(cpu)


def find_table(own: translations, level: int, page: ulong) -> s32:
    """Where the paging-structure cache of a level has the entry of a page; -1: nowhere."""
    start = cache_start(u32(level))
    tag = u64(page) // pages_below(level) + 1
    for i in range(cache_size(u32(level))):
        if own.table_tag[start + i] == tag:
            return s32(start + i)
    return -1


def forget_tables_for(cpu: processor, page: ulong) -> None:
    """The paging-structure caches have no entry for a page any more."""
    own = known[cpus.index(cpu)]
    for level in range(2, Machine.levels + 1):
        i = find_table(own, level, page)
        if i >= 0:
            own.table_tag[i] = 0


def keep_table(own: translations, level: int, page: ulong, table: pfn_t) -> None:
    """The paging-structure cache of a level learns where its entry for a page leads."""
    size = cache_size(u32(level))
    if size == 0:
        return
    i = own.table_next[level]
    own.table_next[level] = (i + 1) % size
    own.table_tag[cache_start(u32(level)) + i] = u64(page) // pages_below(level) + 1
    own.table[cache_start(u32(level)) + i] = table


def count_load(level: int) -> None:
    """The walker loads an entry of a table of this level."""
    if Counting.on:
        counters.walk_references[level] += 1


def count_saved(level: int) -> None:
    """It was spared those of this level, and of all above it."""
    if Counting.on:
        for above in range(2, Machine.levels + 1):
            if above >= level:
                counters.walk_saved[above] += 1


def walk_cached(cpu: processor, page: ulong) -> pte_slot | None:
    """The walker's way to the entry of a page, as short as the caches of tables allow.

    None: it ends before.
    """
    own = known[cpus.index(cpu)]
    near = find_table(own, 2, page)
    if near >= 0:
        count_saved(2)
        count_load(1)
        return pte_offset_kernel(page_tables[own.table[near]], page)
    top = cpu.cr3
    if top is None:
        return None
    table = top
    level: u32 = Machine.levels
    for above in range(3, Machine.levels + 1):
        i = find_table(own, above, page)
        if i >= 0 and level == Machine.levels:
            table = upper_tables[own.table[i]]
            level = u32(above) - 1
            count_saved(above)
    for step in range(Machine.levels - 2):
        if Machine.levels - step <= level:
            count_load(Machine.levels - step)
            entry = load_table_entry(table.entry[index_at(Machine.levels - step, page)])
            if not entry.present:
                return None
            keep_table(own, Machine.levels - step, page, entry.pfn)
            table = upper_tables[entry.pfn]
    lowest = table.entry[index_at(2, page)]
    count_load(2)
    pmd = load_table_entry(lowest)
    if not pmd.present:
        return None
    if pmd_leaf(pmd):
        return lowest.entry
    keep_table(own, 2, page, pmd.pfn)
    count_load(1)
    return pte_offset_kernel(page_tables[pmd.pfn], page)
