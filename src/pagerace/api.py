"""Run a claim: compile it, search it, and say what came out."""

from __future__ import annotations

import dataclasses
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.lang.protocol import Protocol
from pagerace.report.execution import Claim, Execution
from pagerace.report.summary import Summary
from pagerace.report.words import short_path

if TYPE_CHECKING:
    from pagerace.compiler.ir import Program
    from pagerace.known import Known
    from pagerace.search import Result, TooManyChoices
    from pagerace.search.latency import Latency
    from pagerace.store import Store


class ScheduleError(ValueError):
    """A schedule that cannot be read, or that does not fit the claim."""


def check(
    protocol: Protocol,
    *,
    claim: str = "",
    states_max: int | None = None,
    depth_max: int | None = None,
    memory_max: int | None = None,
    time_max: float | None = None,
    workers: int | None = None,
    reductions: str | Sequence[str] = "all",
    data_races: bool = False,
    progress: Callable[[str, float], object] | None = None,
    store: Store | None = None,
) -> Summary:
    """Search every interleaving of a claim.  ``print`` of the result is the report.

    ``claim`` is what the report calls it (default: found by file and name).
    ``memory_max`` is in bytes, ``time_max`` in seconds; a search that meets a bound is
    inconclusive.  ``reductions`` is "none", "all", or some of "partial-order" and
    "symmetry"; the verdict is the same.  ``data_races`` looks for those, too, and without
    reductions; where there is one, it is what the result shows.  ``progress`` is called
    with a line and the seconds gone by.  ``store`` has known failures, which are replayed
    first, and keeps what is found.
    Raises CompileError with every mistake in the protocol.
    """
    from pagerace import search

    _validate(
        states_max=states_max,
        depth_max=depth_max,
        memory_max=memory_max,
        time_max=time_max,
        workers=workers,
    )
    claim = claim or address_of(protocol)
    start = time.monotonic()
    program = _compile(protocol, claim)
    compile_seconds = time.monotonic() - start
    known = _known(store, protocol, claim, program)
    if known is not None and known.same:
        return _replayed(known, protocol, claim, program, compile_seconds)
    try:
        result = search.check(
            program,
            states_max=states_max,
            depth_max=depth_max,
            memory_max=memory_max,
            time_max=time_max,
            workers=workers,
            reductions=reductions,
            data_races=data_races,
            progress=progress,
        )
    except search.TooManyChoices as error:
        raise CompileError([_too_many_choices(protocol, error)]) from None
    summary = _summary(protocol, claim, program, result, compile_seconds)
    summary = dataclasses.replace(summary, data_races=data_races)
    return summary if known is None else known.after(summary)


def reproduce(protocol: Protocol, schedule: str, *, claim: str = "") -> Execution:
    """Run one interleaving, given as ``1:3,0:5``.  Raises ScheduleError if it does not fit."""
    from pagerace import search

    claim = claim or address_of(protocol)
    program = _compile(protocol, claim)
    try:
        execution = search.reproduce(program, schedule)
    except search.ScheduleError as error:
        raise ScheduleError(str(error)) from None
    return _complete(execution, protocol, claim)


def latencies(
    protocol: Protocol, threads: Sequence[str], *, schedules: int = 1000, claim: str = ""
) -> list[Latency]:
    """How many steps each of these threads takes, alone and beside the others.

    ``threads`` are names; ``schedules`` are drawn at random, and are the same each time.
    Raises CompileError.
    """
    from pagerace.search.latency import latencies as measured

    program = _compile(protocol, claim or address_of(protocol))
    return measured(program, threads, schedules=schedules)


def points_of(protocols: Sequence[Protocol]) -> dict[str, dict[int, list[str]]]:
    """File -> line -> what the points of that line access, over all the protocols."""
    marks: dict[str, dict[int, list[str]]] = {}
    for protocol in protocols:
        program = _compile(protocol, address_of(protocol))
        for process in program.processes:
            for block in process.code.blocks:
                if block.point is None:
                    continue
                where = block.point.where
                said = marks.setdefault(where.file, {}).setdefault(where.line, [])
                if block.point.why not in said:
                    said.append(block.point.why)
    return marks


def dump(protocol: Protocol, format: str = "ir", *, claim: str = "") -> str:
    """What a claim is compiled to: "ir", the same as "promela", or "llvm".

    Raises CompileError, also for what Promela has no word for.
    """
    claim = claim or address_of(protocol)
    program = _compile(protocol, claim)
    if format == "promela":
        return _promela(protocol, program)
    if format == "llvm":
        from pagerace.compiler.layout import Layout
        from pagerace.compiler.native import stepped
        from pagerace.compiler.native.text import Module

        module = Module()
        stepped.emit(module, program, Layout.of(program))
        return module.text()
    if format != "ir":
        raise ValueError(f"the format is {format!r}; it must be ir, promela or llvm")
    from pagerace.compiler.show import show

    codes = [item.code for item in (*program.processes, *program.properties)]
    return "\n".join(map(show, codes))


def _promela(protocol: Protocol, program: Program) -> str:
    from pagerace.compiler import promela

    try:
        return promela.write(program)
    except promela.Inexpressible as error:
        message = f"Promela has no word for it: {error}"
        at = error.where
        place = (protocol.file, protocol.line, 0, 1)
        if at is not None:
            place = (at.file, at.line, at.column, at.end_column)
        wide = "arithmetic on int needs more than 32 bits, on u8 to u32 it does not"
        hint = wide if "bits" in message else ""
        found = Diagnostic("not-in-promela", message, *place, help=hint)
        raise CompileError([found]) from None


def cache_folder() -> Path | None:
    """Where native code is kept from one check to the next; None where it is not."""
    from pagerace.compiler.native.cache import folder

    return folder()


def address_of(protocol: Protocol) -> str:
    """``file::name`` of a claim that is a global of an imported module."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is None or os.path.realpath(file) != os.path.realpath(protocol.file):
            continue
        for name, value in vars(module).items():
            if value is protocol:
                return f"{short_path(file)}::{name}"
    return f"{short_path(protocol.file)}:{protocol.line}"


def _validate(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name} is {value}; it must be more than 0")


def _too_many_choices(protocol: Protocol, error: TooManyChoices) -> Diagnostic:
    slug, at = "too-many-choices", error.where
    if at is None:
        return Diagnostic(slug, str(error), protocol.file, protocol.line, 0, 1)
    return Diagnostic(slug, str(error), at.file, at.line, at.column, at.end_column)


def _compile(protocol: Protocol, claim: str) -> Program:
    from pagerace.compiler.program import compile_protocol

    # The compiler makes a few hundred thousand small objects and hardly any cycles: to
    # look for cycles over and over takes a tenth of its time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return compile_protocol(protocol, claim.rpartition("::")[2])
    finally:
        if collecting:
            gc.enable()


def _complete(execution: Execution, protocol: Protocol, claim: str) -> Execution:
    """The execution with what only the protocol knows."""
    from pagerace import __version__
    from pagerace.report.verdict import reproduce_command

    described = Claim(
        name=claim.rpartition("::")[2],
        file=protocol.file,
        line=protocol.line,
        title=protocol.title,
        kernel=protocol.kernel,
        commit=protocol.commit,
        expect=protocol.expect.violated or "",
    )
    return dataclasses.replace(
        execution,
        tool=f"pagerace {__version__}",
        protocol=described,
        reproduce=reproduce_command(claim, execution.schedule),
    )


def _known(
    store: Store | None, protocol: Protocol, claim: str, program: Program
) -> Known | None:
    """What the store says of the claim, run again."""
    if store is None:
        return None
    from pagerace.known import replayed

    return replayed(store, claim, program, lambda found: _complete(found, protocol, claim))


def _replayed(
    known: Known, protocol: Protocol, claim: str, program: Program, compile_seconds: float
) -> Summary:
    """The verdict that a known failure is, with the figures of the search that found it."""
    assert known.execution is not None and known.failure is not None
    search = known.execution.search
    return Summary(
        claim=claim,
        verdict="violated",
        expect=protocol.expect.violated or "",
        title=protocol.title,
        execution=known.execution,
        bounds=dict(program.bounds),
        states=search.states,
        seen=search.seen,
        depth=search.depth,
        seconds=search.seconds,
        compile_seconds=compile_seconds,
        known=known.failure.found,
    )


def _summary(
    protocol: Protocol, claim: str, program: Program, result: Result, compile_seconds: float
) -> Summary:
    execution = result.execution
    if execution is not None:
        execution = _complete(execution, protocol, claim)
    found: dict[str, Any] = {
        name: getattr(result, name)
        for name in ("verdict", "reason", "states", "seen", "depth", "seconds", "workers",
                     "reductions")
    }  # fmt: skip
    return Summary(
        claim=claim,
        expect=protocol.expect.violated or "",
        title=protocol.title,
        execution=execution,
        bounds=dict(program.bounds),
        reached=tuple(result.reached),
        unreached=tuple(result.unreached),
        never_executed={file: list(lines) for file, lines in result.never_executed.items()},
        state_bits=result.state_bits,
        bytes_per_state=result.bytes / max(result.states, 1),
        compile_seconds=compile_seconds,
        told_apart=tuple(result.told_apart),
        **found,
    )
