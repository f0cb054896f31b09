"""Where the states of a search are kept, and what each worker has of its own."""

from __future__ import annotations

from collections.abc import Sequence

from pagerace.search import engine
from pagerace.search.areas import PAGE_BYTES, Area
from pagerace.search.loops import Loops

LEVELS_MAX = 1 << 20
STATES_LIMIT = engine.SHARDS * (engine.INDEX_MASK - 1)

# Records of room per shard in a buffer: with 2 words a state the whole buffer stays in
# the second-level cache.
FIRST_CAPACITY = 256

# Of the memory bound for what is not the states: the marks of a backward search.
MARKS_SHARE, MARKS_BYTES = 8, 256 << 20

_SHARD_SLACK = 1.25  # shards fill evenly; this is room for chance
_SHARD_EXTRA = 4096
_LARGEST = (1 << 64) - 1


class Worker:
    """What one worker's loops need of their own: context, room for a state, counts."""

    def __init__(self, words: int, context_bytes: int, *, native: bool) -> None:
        self.context = Area(context_bytes // 8, "Q", native=native)
        self.scratch = Area(engine.SCRATCH_STATES * words + 8, "Q", native=native)
        self.tally = Area(engine.TALLY_WORDS, "Q", native=native)

    def close(self) -> None:
        for area in (self.context, self.scratch, self.tally):
            area.close()


class Buffers:
    """Room for the successors of ``chunks`` chunks, ``capacity`` per chunk and shard."""

    def __init__(self, words: int, chunks: int, capacity: int, *, native: bool) -> None:
        self.chunks, self.capacity, self.record = chunks, capacity, words + 1
        # The loops fetch ahead of the last record.
        slack = 2 * engine.AHEAD * self.record
        count = chunks * engine.SHARDS * capacity * self.record + slack
        self.records = Area(count, "Q", native=native)
        self.fills = Area(chunks * engine.SHARDS, "Q", native=native)

    @property
    def bytes(self) -> int:
        return self.records.count * 8

    def close(self) -> None:
        self.records.close()
        self.fills.close()


class Store:
    """All states found, level by level, and the tables to find them by."""

    def __init__(
        self, loops: Loops, words: int, processes: int, locks: int, memory_bytes: int,
        reductions: int = 0,
    ) -> None:  # fmt: skip
        self.loops, self.words, self.native = loops, words, loops.native
        self.marks_bytes = min(MARKS_BYTES, memory_bytes // MARKS_SHARE)
        page_slack = 4 * engine.SHARDS * PAGE_BYTES
        self.memory_bytes = max(0, memory_bytes - self.marks_bytes - page_slack)
        self.levels = Area((LEVELS_MAX + 4) * engine.SHARDS, "I", native=self.native)
        self._reserve()
        self.shards = Area(engine.SHARDS * engine.ROW, "Q", native=self.native)
        self.control = Area(engine.CONTROL_WORDS, "Q", native=self.native)
        self.buffers = Buffers(words, 1, FIRST_CAPACITY, native=self.native)
        control = self.control.view
        control[engine.STRIDE] = self.stride
        control[engine.TABLE_STRIDE] = self.table_stride
        control[engine.CAPACITY] = FIRST_CAPACITY
        control[engine.PROCESSES] = processes
        control[engine.LOCKS_KNOWN] = locks
        control[engine.REDUCTIONS] = reductions
        control[engine.STATES_MAX] = _LARGEST
        control[engine.DEPTH_MAX] = LEVELS_MAX
        control[engine.LARGE] = _LARGEST
        self.limit_memory()

    def _reserve(self) -> None:
        """Address ranges for as many states as the memory holds, or fewer if refused."""
        each = self.words * 8 + 4 + 4 / 0.75
        share = self.memory_bytes / each / engine.SHARDS
        self.stride = min(int(share * _SHARD_SLACK) + _SHARD_EXTRA, engine.INDEX_MASK - 1)
        while True:
            slots = self.stride * 4 // 3 + 1
            self.table_stride = 1 << (slots - 1).bit_length()
            count = engine.SHARDS * self.stride
            try:
                self.states = Area((count + 1) * self.words, "Q", native=self.native)
                self.forward = Area(count, "I", native=self.native)
                self.tables = Area(
                    engine.SHARDS * self.table_stride, "I", native=self.native
                )
                return
            except MemoryError:
                if self.stride < _SHARD_EXTRA:
                    raise
                self.stride //= 2

    def limit_memory(self) -> None:
        """Tell the loops how much memory there is beside the buffers."""
        left = self.memory_bytes - self.buffers.bytes
        self.control.view[engine.MEMORY_MAX] = max(0, left)

    def start(self, words: Sequence[int]) -> None:
        """Store the initial state, alone on level 0."""
        self.initial = tuple(words)
        first = Area(engine.SCRATCH_STATES * self.words, "Q", native=self.native)
        for number, word in enumerate(words):
            first.view[number] = word
        buffers, control = self.buffers, self.control.view
        if control[engine.REDUCTIONS] & engine.SYMMETRY:
            self.loops.canonicalise(first.at(), first.at(engine.SPARE * self.words))
        self.loops.put(
            first.at(), 0, buffers.records.at(), buffers.fills.at(), buffers.capacity
        )
        first.close()
        self.insert(0, engine.SHARDS, 1)
        for shard in range(engine.SHARDS):
            end = self.shards.view[shard * engine.ROW + engine.COUNT]
            self.shards.view[shard * engine.ROW + engine.END] = end
            self.levels.view[engine.SHARDS + shard] = end
        control[engine.SIZE] = control[engine.STATES] = 1

    def insert(self, first_shard: int, last_shard: int, chunks: int) -> None:
        """Store what the first ``chunks`` chunks have for some shards."""
        self.loops.insert_shards(
            self.states.at(), self.tables.at(), self.forward.at(), self.shards.at(),
            self.control.at(), first_shard, last_shard, self.buffers.records.at(),
            self.buffers.fills.at(), chunks,
        )  # fmt: skip

    def set_buffers(self, chunks: int, capacity: int) -> None:
        """Make room for more chunks or larger ones."""
        self.buffers.close()
        self.buffers = Buffers(self.words, chunks, capacity, native=self.native)
        self.control.view[engine.CAPACITY] = capacity
        self.limit_memory()

    def size_of_level(self, depth: int) -> int:
        """States on a level that has been completed."""
        starts = self.levels.view[depth * engine.SHARDS : (depth + 1) * engine.SHARDS]
        ends = self.levels.view[(depth + 1) * engine.SHARDS : (depth + 2) * engine.SHARDS]
        return sum(ends) - sum(starts)

    @property
    def number(self) -> int:
        """States found so far."""
        return self.control.view[engine.STATES]

    @property
    def depth(self) -> int:
        return self.control.view[engine.DEPTH]

    @property
    def bytes(self) -> int:
        """Memory for states, tables and levels."""
        slots = 0
        for shard in range(engine.SHARDS):
            row = shard * engine.ROW
            if self.shards.view[row + engine.BITS]:
                slots += 1 << self.shards.view[row + engine.BITS]
        levels = (self.depth + 2) * engine.SHARDS * 4
        return self.number * (self.words * 8 + 4) + slots * 4 + levels

    def close(self) -> None:
        """Give all memory back."""
        self.buffers.close()
        for area in (
            self.states, self.forward, self.tables, self.shards, self.levels, self.control
        ):  # fmt: skip
            area.close()
