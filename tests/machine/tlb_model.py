"""TLBs and paging-structure caches in plain Python, as machine/tlb_sets.py says they are.

Lists of what each set has, the ways of a set in their order; nothing is shared with the code
that is compared with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

ENTRIES = 512
LEVELS = 4


@dataclass
class Part:
    """Sets of ways: ``tags[set][way]``, None where nothing is; ``lru``: tree pseudo-LRU."""

    sets: int
    ways: int
    lru: bool = True
    tags: list[list[int | None]] = field(default_factory=list[list[int | None]])
    dirty: dict[int, bool] = field(default_factory=dict[int, bool])
    trees: list[dict[tuple[int, ...], int]] = field(
        default_factory=list[dict[tuple[int, ...], int]]
    )
    turns: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.tags = [[None] * self.ways for _ in range(self.sets)]
        self.trees = [{} for _ in range(self.sets)]
        self.turns = [0] * self.sets
        self.dirty = {}

    def has(self, number: int) -> bool:
        return number in self.tags[number % self.sets]

    def touch(self, number: int) -> None:
        if not self.lru:
            return
        way = self.tags[number % self.sets].index(number)
        path: tuple[int, ...] = ()
        for bit in reversed(range((self.ways - 1).bit_length())):
            taken = way >> bit & 1
            self.trees[number % self.sets][path] = 1 - taken
            path += (taken,)

    def insert(self, number: int, dirty: bool) -> None:
        where = self.tags[number % self.sets]
        if None in where:
            way = where.index(None)
        elif self.lru:
            path: tuple[int, ...] = ()
            for _ in range((self.ways - 1).bit_length()):
                path += (self.trees[number % self.sets].get(path, 0),)
            way = int("".join(map(str, path)) or "0", 2)
        else:
            way = self.turns[number % self.sets]
            self.turns[number % self.sets] = (way + 1) % self.ways
        where[way] = number
        self.dirty[number] = dirty
        self.touch(number)

    def remove(self, number: int) -> None:
        where = self.tags[number % self.sets]
        if number in where:
            where[where.index(number)] = None


@dataclass
class Leaf:
    """A PTE, or a leaf of the PMD."""

    accessed: bool = False
    dirty: bool = False


class Model:
    """One CPU, one address space; ``counts`` as in machine/counters.py."""

    def __init__(self, sizes: dict[str, int]) -> None:
        s = sizes
        self.first = {
            ("data", False): Part(s["l1_sets"], s["l1_ways"]),
            ("data", True): Part(s["l1_huge_sets"], s["l1_huge_ways"]),
            ("code", False): Part(s["l1i_sets"], s["l1i_ways"]),
            ("code", True): Part(s["l1i_huge_sets"], s["l1i_huge_ways"]),
        }
        # One array of sets, in which a tag tells what size its page has.
        self.second = Part(s["l2_sets"], s["l2_ways"], lru=False)
        self.cache_sizes = {2: s["pde"], 3: s["pdpte"], 4: s["pml4e"]}
        self.caches: dict[int, list[int | None]] = {}
        self.turns: dict[int, int] = {}
        self.pages: dict[int, Leaf] = {}
        self.huge: dict[int, Leaf] = {}
        self.tables: set[tuple[int, int]] = set()
        self.counts: Counter[str] = Counter()
        self.forget_tables()
        self.turns = dict.fromkeys((2, 3, 4), 0)

    def forget_tables(self) -> None:
        self.caches = {level: [None] * size for level, size in self.cache_sizes.items()}

    # -- the tables -------------------------------------------------------------

    def map_page(self, page: int) -> None:
        self.pages[page] = Leaf()
        self.tables |= {(level, page // ENTRIES ** (level - 1)) for level in (2, 3, 4)}

    def map_huge(self, page: int) -> None:
        self.huge[page // ENTRIES] = Leaf()
        self.tables |= {(level, page // ENTRIES ** (level - 1)) for level in (3, 4)}

    # -- accesses ---------------------------------------------------------------

    def access(self, page: int, side: str, store: bool = False) -> bool:
        self.counts["accesses"] += 1
        found = self.look_up(page, side)
        if found is None:
            self.counts["tlb_misses"] += 1
            found = self.walk(page)
            if found is None:
                self.fault(page)
                return False
            huge, number = found
            leaf = self.huge[number] if huge else self.pages[number]
            self.counts["accessed_set"] += not leaf.accessed
            leaf.accessed = True
            self.first[side, huge].insert(number, leaf.dirty)
            if not self.second.has(self.tag(huge, number)):
                self.second.insert(self.tag(huge, number), leaf.dirty)
        if store:
            huge, number = found
            if not self.first[side, huge].dirty[number]:
                leaf = self.huge[number] if huge else self.pages[number]
                self.counts["dirty_set"] += 1
                leaf.dirty = True
                for part, key in (
                    (self.first["data", huge], number),
                    (self.second, self.tag(huge, number)),
                ):
                    if part.has(key):
                        part.dirty[key] = True
        return True

    def tag(self, huge: bool, number: int) -> int:
        """Where sets are chosen by the number itself, whatever the size of the page."""
        return number + (huge << 60)

    def look_up(self, page: int, side: str) -> tuple[bool, int] | None:
        keys = [(False, page), (True, page // ENTRIES)]
        for huge, number in keys:
            if self.first[side, huge].has(number):
                self.first[side, huge].touch(number)
                return huge, number
        for huge, number in keys:
            tag = self.tag(huge, number)
            if self.second.has(tag):
                self.counts["l2_hits"] += 1
                self.first[side, huge].insert(number, self.second.dirty[tag])
                return huge, number
        return None

    def walk(self, page: int) -> tuple[bool, int] | None:
        numbers = {level: page // ENTRIES ** (level - 1) for level in (2, 3, 4)}
        known = next((n for n in (2, 3, 4) if numbers[n] in self.caches[n]), 5)
        for level in range(known, 5):
            self.counts[f"saved {level}"] += 1
        for level in range(known - 1, 1, -1):
            self.counts[f"loaded {level}"] += 1
            if level == 2 and numbers[2] in self.huge:
                return True, numbers[2]
            if (level, numbers[level]) not in self.tables:
                return None
            if self.cache_sizes[level]:
                self.caches[level][self.turns[level]] = numbers[level]
                self.turns[level] = (self.turns[level] + 1) % self.cache_sizes[level]
        self.counts["loaded 1"] += 1
        return (False, page) if page in self.pages else None

    # -- forgetting -------------------------------------------------------------

    def forget(self, page: int) -> None:
        for (_, huge), part in self.first.items():
            part.remove(page // ENTRIES if huge else page)
        self.second.remove(page)
        self.second.remove(self.tag(True, page // ENTRIES))

    def fault(self, page: int) -> None:
        self.forget(page)
        for level, cache in self.caches.items():
            number = page // ENTRIES ** (level - 1)
            if number in cache:
                cache[cache.index(number)] = None

    def invlpg(self, page: int) -> None:
        self.forget(page)
        self.forget_tables()

    def flush(self, start: int, end: int) -> None:
        if end - start > 33:
            self.flush_all()
        else:
            for page in range(start, end):
                self.invlpg(page)

    def flush_all(self) -> None:
        for part in (*self.first.values(), self.second):
            part.clear()
        self.forget_tables()
