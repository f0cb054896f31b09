"""From a program that shows a difference to a short one that still shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

from pagerace.oracle import constants as c
from pagerace.oracle.program import Call, Exit, File, Fork, Program

# What a number may become, and in which order it is tried.
_FLAGS = {"flags", "prot", "advice"}
_NEVER = {"actor", "child"}
_PAGES = {"address", "new_address", "page"}


def shrink(
    program: Program, shows: Callable[[Program], bool], attempts: int = 2_000
) -> Program:
    """The smallest program found that still ``shows`` what ``program`` does.

    Calls are left out, in halves and then one by one; processes become one; numbers become
    smaller; files that nobody uses go.  Deterministic; at most ``attempts`` runs.
    """
    left = [attempts]

    def holds(candidate: Program) -> bool:
        if left[0] <= 0:
            return False
        left[0] -= 1
        return shows(candidate)

    while True:
        before = program
        program = _fewer_calls(program, holds)
        program = _first_that_holds(program, holds, _in_one_process)
        program = _without_unused_files(program, holds)
        program = _first_that_holds(program, holds, _elsewhere)
        program = _smaller_numbers(program, holds)
        program = _first_that_holds(program, holds, _plainer_files)
        if program == before or left[0] <= 0:
            return program


def without(program: Program, first: int, end: int) -> Program:
    """The program without some of its calls, and without what then cannot be."""
    return replace(program, calls=alive_only(program.calls[:first] + program.calls[end:]))


def alive_only(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """Leave out the calls of processes that nobody has made."""
    alive = {0}
    kept: list[Call] = []
    for call in calls:
        if call.actor not in alive:
            continue
        if isinstance(call, Fork):
            alive.add(call.child)
        elif isinstance(call, Exit):
            alive.discard(call.actor)
        kept.append(call)
    return tuple(kept)


def _fewer_calls(program: Program, holds: Callable[[Program], bool]) -> Program:
    size = max(len(program.calls) // 2, 1)
    while size:
        end = len(program.calls)
        while end > 0:
            candidate = without(program, max(end - size, 0), end)
            if len(candidate.calls) < len(program.calls) and holds(candidate):
                program = candidate
                end = min(end, len(program.calls))
            end -= size
        size //= 2
    return program


def _first_that_holds(
    program: Program,
    holds: Callable[[Program], bool],
    candidates: Callable[[Program], Iterator[Program]],
) -> Program:
    """Take the first candidate that holds, and go on from there until none does."""
    found = True
    while found:
        found = False
        for candidate in candidates(program):
            if candidate != program and holds(candidate):
                program = candidate
                found = True
                break
    return program


def _in_one_process(program: Program) -> Iterator[Program]:
    """The same calls, one of them made by process 0."""
    for number, call in enumerate(program.calls):
        if call.actor != 0 and not isinstance(call, Fork | Exit):
            yield _with(program, number, replace(call, actor=0))


def _elsewhere(program: Program) -> Iterator[Program]:
    """The same calls, all of them closer to the window's beginning."""
    used = sorted(_pages(program))
    if used:
        for by in (used[0], used[0] & ~15, used[0] // 2):
            if by:
                yield replace(program, calls=tuple(_moved(call, by) for call in program.calls))


def _pages(program: Program) -> set[int]:
    """The pages that calls name."""
    return {
        getattr(call, item.name)
        for call in program.calls
        for item in fields(call)
        if item.name in _PAGES and (item.name != "new_address" or getattr(call, item.name))
    }


def _moved(call: Call, by: int) -> Call:
    names = [item.name for item in fields(call) if item.name in _PAGES]
    return replace(call, **{name: max(getattr(call, name) - by, 0) for name in names})


def _smaller_numbers(program: Program, holds: Callable[[Program], bool]) -> Program:
    for number in range(len(program.calls)):
        for item in fields(program.calls[number]):
            if item.name not in _NEVER:
                program = _smaller_number(program, number, item.name, holds)
    return program


def _smaller_number(
    program: Program, number: int, name: str, holds: Callable[[Program], bool]
) -> Program:
    """One number of one call, as small as it can be found to be."""
    while True:
        call = program.calls[number]
        value = getattr(call, name)
        others = sorted(_pages(program)) if name in _PAGES else []
        for smaller in [*(v for v in others if v < value), *_smaller(name, value)]:
            candidate = _with(program, number, replace(call, **{name: smaller}))
            if holds(candidate):
                program = candidate
                break
        else:
            return program


def _smaller(name: str, value: int) -> Iterator[int]:
    if name == "prot":
        yield from (p for p in (c.PROT_READ | c.PROT_WRITE, c.PROT_READ) if p < value)
    elif name in _FLAGS:
        # Without one bit; the two types of mmap() are one number.
        bits = [1 << i for i in range(31) if value >> i & 1 and 1 << i > 2]
        yield from (value & ~bit for bit in bits if bit != c.MAP_FIXED)
    elif name == "file":
        yield from (v for v in (0,) if v < value)
    elif value > 0:
        low = 1 if name in ("length", "old_length", "new_length", "addend") else 0
        yield from (v for v in (low, value // 2, value - 1) if low <= v < value)


def _plainer_files(program: Program) -> Iterator[Program]:
    for number, file in enumerate(program.files):
        plain = File(file.kind, file.pages)
        for other in (plain, replace(plain, pages=1), replace(plain, pages=file.pages // 2)):
            if other.pages and other != file and other.pages <= file.pages:
                files = (*program.files[:number], other, *program.files[number + 1 :])
                yield replace(program, files=files)


def _without_unused_files(program: Program, holds: Callable[[Program], bool]) -> Program:
    """Leave out the files that no call names."""
    used = sorted(
        {call.file for call in program.calls if hasattr(call, "file") and call.file >= 0}  # pyright: ignore
        & set(range(len(program.files)))
    )
    if len(used) == len(program.files):
        return program
    number = {old: new for new, old in enumerate(used)}
    far = len(program.files) + 3
    calls = tuple(
        replace(call, file=number.get(file, far))
        if (file := getattr(call, "file", -1)) >= 0
        else call
        for call in program.calls
    )
    candidate = replace(program, calls=calls, files=tuple(program.files[i] for i in used))
    return candidate if holds(candidate) else program


def _with(program: Program, number: int, call: Call) -> Program:
    calls = (*program.calls[:number], call, *program.calls[number + 1 :])
    return replace(program, calls=calls)
