"""Two judges' observations of one program, call by call and page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from pagerace.oracle import constants as c
from pagerace.oracle.program import (
    KINDS,
    Call,
    Mincore,
    Observation,
    Page,
    Program,
    Sight,
    Space,
    VmArea,
)

# What mm/ knows of a struct page, of all that /proc/kpageflags tells.
COMPARED_FLAGS = (
    c.KPF_DIRTY | c.KPF_MMAP | c.KPF_ANON | c.KPF_SWAPBACKED | c.KPF_ZERO_PAGE
    | c.KPF_COMPOUND_HEAD | c.KPF_COMPOUND_TAIL | c.KPF_THP
)  # fmt: skip
_ABSENT = Page(0)
_ALL_PAGEMAP = sum(c.PAGEMAP.values())
# The lines of smaps, and the words of VmFlags, that mm/ knows.
COMPARED_SIZES = (
    "Size", "Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty",
    "Anonymous", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped",
)  # fmt: skip
COMPARED_VMFLAGS = frozenset(
    [
        "rd",
        "wr",
        "ex",
        "sh",
        "mr",
        "mw",
        "me",
        "ms",
        "nr",
        "dc",
        "wf",
        "hg",
        "nh",
        "sr",
        "rr",
        "ac",
    ]
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two judges see differently after call ``step`` (from 0).

    ``what``: "result", "signal", a bit of pagemap or kpageflags, a line of smaps, ...
    ``process`` and ``page``: where; -1 where it is about no page.  ``count``: how many pages
    in a row are like it.
    """

    step: int
    kind: str
    what: str
    kernel: Any
    model: Any
    process: int = -1
    page: int = -1
    count: int = 1


@dataclass(frozen=True)
class Context:
    """What a known difference may look at to say whether it explains one."""

    program: Program
    kernel: Sequence[Observation]
    model: Sequence[Observation]

    def call(self, difference: Difference) -> Call:
        return self.program.calls[difference.step]

    def before(self, difference: Difference) -> Sequence[Call]:
        """The calls up to this one, itself included."""
        return self.program.calls[: difference.step + 1]

    def page(self, difference: Difference, *, of_kernel: bool = True) -> Page | None:
        """The page that a difference is about, as one of the two sees it."""
        seen = (self.kernel if of_kernel else self.model)[difference.step]
        for space in seen.spaces:
            if space.process == difference.process and space.pages is not None:
                return space.pages.get(difference.page)
        return None

    def area(self, difference: Difference, *, of_kernel: bool = True) -> VmArea | None:
        """The mapping that a difference is about, as one of the two sees it."""
        seen = (self.kernel if of_kernel else self.model)[difference.step]
        for space in seen.spaces:
            if space.process == difference.process:
                for area in space.mappings or ():
                    if area.start <= difference.page < area.end:
                        return area
        return None


@dataclass(frozen=True)
class Known:
    """A difference that is meant to be.  ``reason`` is a paragraph of docs/differences.md."""

    name: str
    reason: str
    explains: Callable[[Difference, Context], bool]


@dataclass
class Compared:
    """What was compared so far.

    ``unrepeatable``: programs of which the kernel said something else the second time.
    """

    programs: int = 0
    calls: int = 0
    pages: int = 0
    mappings: int = 0
    faults: int = 0
    signals: int = 0
    errors: int = 0
    unrepeatable: int = 0
    known: Counter[str] = field(default_factory=Counter[str])
    operations: Counter[str] = field(default_factory=Counter[str])


def kinds_compared(kernel: Sight, model: Sight) -> dict[str, str]:
    """Each kind of observation with "" if both see it, else why it is not compared."""
    return {kind: kernel.missing.get(kind) or model.missing.get(kind) or "" for kind in KINDS}


def compare(
    program: Program,
    kernel: Sequence[Observation],
    model: Sequence[Observation],
    kinds: frozenset[str],
    known: Sequence[Known],
    compared: Compared,
) -> list[Difference]:
    """The unexplained differences of the first call that has one; none: they agree.

    What comes after the first is a consequence of it, and not looked at.
    """
    context = Context(program, kernel, model)
    compared.programs += 1
    for step, (left, right) in enumerate(zip(kernel, model, strict=False)):
        _count(compared, program.calls[step], left, right)
        unexplained: list[Difference] = []
        for difference in differences(step, left, right, kinds, program.calls[step]):
            for item in known:
                if item.explains(difference, context):
                    compared.known[item.name] += difference.count
                    break
            else:
                unexplained.append(difference)
        if unexplained:
            # What a program sees comes first, and what only /proc shows after it.
            return sorted(unexplained, key=lambda found: KINDS.index(found.kind))
    return []


def _count(compared: Compared, call: Call, kernel: Observation, model: Observation) -> None:
    compared.calls += 1
    compared.operations[type(call).__name__.lower()] += 1
    compared.faults += kernel.minor or 0
    compared.signals += bool(kernel.signal)
    compared.errors += kernel.result < 0 and not kernel.signal
    for left, right in zip(kernel.spaces, model.spaces, strict=False):
        compared.pages += len((left.pages or {}).keys() | (right.pages or {}).keys())
        compared.mappings += len(left.mappings or ())


def differences(
    step: int, kernel: Observation, model: Observation, kinds: frozenset[str], call: Call
) -> Iterator[Difference]:
    """Everything that is not the same after one call."""
    if kernel == model:
        return
    if kernel.stopped != model.stopped:
        ends = [item.stopped or "goes on" for item in (kernel, model)]
        yield Difference(step, "results", "end of the run", ends[0], ends[1])
        return
    if "results" in kinds and kernel.result != model.result:
        yield Difference(step, "results", "result", kernel.result, model.result)
    if "results" in kinds and isinstance(call, Mincore):
        yield from _in_a_row(_of_vectors(step, kernel, model, call))
    if "signals" in kinds:
        left = (kernel.signal, kernel.code, kernel.fault_page)
        right = (model.signal, model.code, model.fault_page)
        if left != right:
            yield Difference(step, "signals", "signal", left, right)
    if "faults" in kinds:
        for what in ("minor", "major"):
            one, other = getattr(kernel, what), getattr(model, what)
            if one != other and None not in (one, other):
                yield Difference(step, "faults", f"{what} faults", one, other)
    left_alive = tuple(space.process for space in kernel.spaces)
    right_alive = tuple(space.process for space in model.spaces)
    if left_alive != right_alive:
        yield Difference(step, "results", "processes", left_alive, right_alive)
        return
    for one, other in zip(kernel.spaces, model.spaces, strict=True):
        if one != other:
            yield from _of_mappings(step, one, other, kinds)
            yield from _in_a_row(_of_pages(step, one, other, kinds))


def _of_vectors(
    step: int, kernel: Observation, model: Observation, call: Mincore
) -> Iterator[Difference]:
    """What mincore() told, page by page; None where one of the two did not tell of it."""
    told = zip_longest(kernel.vector, model.vector)
    for page, values in enumerate(told, call.address):
        if values[0] != values[1]:
            yield Difference(step, "results", "mincore", *values, call.actor, page)


def _of_pages(
    step: int, kernel: Space, model: Space, kinds: frozenset[str]
) -> Iterator[Difference]:
    if kernel.pages is None or model.pages is None or kernel.pages == model.pages:
        return
    process = kernel.process
    for page in sorted(kernel.pages.keys() | model.pages.keys()):
        one = kernel.pages.get(page, _ABSENT)
        other = model.pages.get(page, _ABSENT)
        if same(one, other, kinds):
            continue
        if "pagemap" in kinds:
            for what, bit in c.PAGEMAP.items():
                if (one.pagemap ^ other.pagemap) & bit:
                    values = bool(one.pagemap & bit), bool(other.pagemap & bit)
                    yield Difference(step, "pagemap", what, *values, process, page)
        if not one.pagemap & other.pagemap & c.PM_PRESENT:
            continue  # there is nothing more to compare
        if "contents" in kinds and _differ(one.content, other.content):
            values = one.content, other.content
            yield Difference(step, "contents", "content", *values, process, page)
        if "mapcount" in kinds and _differ(one.mapcount, other.mapcount):
            values = one.mapcount, other.mapcount
            yield Difference(step, "mapcount", "mapcount", *values, process, page)
        if "flags" in kinds and one.flags is not None and other.flags is not None:
            for what, bit in c.KPAGEFLAGS.items():
                if (one.flags ^ other.flags) & bit & COMPARED_FLAGS:
                    values = bool(one.flags & bit), bool(other.flags & bit)
                    yield Difference(step, "flags", what, *values, process, page)


@lru_cache(100_000)
def same(one: Page, other: Page, kinds: frozenset[str]) -> bool:
    """Is there nothing to say of a page?  Of most, and of the same ones again and again."""
    if one == other:
        return True
    if "pagemap" in kinds and (one.pagemap ^ other.pagemap) & _ALL_PAGEMAP:
        return False
    if not one.pagemap & other.pagemap & c.PM_PRESENT:
        return True
    if "contents" in kinds and _differ(one.content, other.content):
        return False
    if "mapcount" in kinds and _differ(one.mapcount, other.mapcount):
        return False
    if "flags" not in kinds or one.flags is None or other.flags is None:
        return True
    return not (one.flags ^ other.flags) & COMPARED_FLAGS


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _in_a_row(found: Iterator[Difference]) -> Iterator[Difference]:
    """Differences of neighbouring pages that are the same, as one."""
    rows: dict[tuple[object, ...], Difference] = {}
    for difference in found:
        if difference.kind == "contents":
            yield difference
            continue
        key = (difference.what, difference.kernel, difference.model)
        last = rows.get(key)
        if last is not None and last.page + last.count == difference.page:
            rows[key] = Difference(
                last.step, last.kind, last.what, last.kernel, last.model,
                last.process, last.page, last.count + 1,
            )  # fmt: skip
            continue
        if last is not None:
            yield last
        rows[key] = difference
    yield from rows.values()


def _of_mappings(
    step: int, kernel: Space, model: Space, kinds: frozenset[str]
) -> Iterator[Difference]:
    if "smaps" not in kinds or kernel.mappings is None or model.mappings is None:
        return
    if kernel.mappings == model.mappings:
        return
    process = kernel.process
    left = [shape(area) for area in kernel.mappings]
    right = [shape(area) for area in model.mappings]
    if left != right:
        first = next(
            (one or other for one, other in _side_by_side(left, right) if one != other), ""
        )
        page = int(first.partition("-")[0] or 0)
        yield Difference(step, "smaps", "mappings", left, right, process, page)
        return
    for one, other in zip(kernel.mappings, model.mappings, strict=True):
        for what in COMPARED_SIZES:
            values = one.sizes.get(what), other.sizes.get(what)
            if _differ(*values):
                yield Difference(step, "smaps", what, *values, process, one.start)
        flags = [frozenset(area.vmflags) & COMPARED_VMFLAGS for area in (one, other)]
        if flags[0] != flags[1] and one.vmflags and other.vmflags:
            words = [" ".join(sorted(some)) for some in flags]
            yield Difference(step, "smaps", "VmFlags", words[0], words[1], process, one.start)


def _side_by_side(left: list[str], right: list[str]) -> Iterator[tuple[str, str]]:
    for i in range(max(len(left), len(right))):
        yield (left[i] if i < len(left) else "", right[i] if i < len(right) else "")


def shape(area: VmArea) -> str:
    """A mapping in a line: ``3-8 rw-s 2 file 0``."""
    if area.file == -1:
        return f"{area.start}-{area.end} {area.perms} private anonymous"
    kind = "shared anonymous" if area.file == -2 else f"file {area.file}"
    return f"{area.start}-{area.end} {area.perms} {kind} from page {area.offset}"
