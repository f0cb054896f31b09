"""The loops in kernel Python, ready to be called: native, or as Python.

Both take the addresses that ``areas`` gives.  As Python they run over the interpreter,
which is slow and needs nothing but the standard library: what native code is tested
against.
"""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagerace.compiler import interpreter, ir
from pagerace.compiler.interpreter import EndlessLoop, NotPossible
from pagerace.compiler.ir import Check, Code, Program, Property
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import context as places
from pagerace.compiler.reductions import NO_REDUCTIONS, Reductions
from pagerace.lang.structures import bound
from pagerace.search import backward, completion, engine, serial, tables
from pagerace.search.result import TooManyChoices

if TYPE_CHECKING:
    from pagerace.compiler.native.build import Effort
    from pagerace.compiler.native.direct import Function
    from pagerace.lang.direct import ptr

MODULES = (engine, tables, serial, backward, completion)


FORWARD = (
    serial.run, engine.expand, tables.insert_shards, tables.fits, serial.count_states,
    serial.next_level, engine.put, completion.mark_complete, completion.settle_roots,
    completion.sweep,
)  # fmt: skip
# They run for a moment, after the search: not worth waiting for LLVM's best.
BACKWARD = (
    backward.index_marks, backward.mark_level, backward.choose_step, backward.inspect,
    engine.run_on,
)  # fmt: skip
ENTRIES = (*FORWARD, *BACKWARD)
EXTERNALS = ("step", "check_state", "threads_done", "chosen", "canonicalise")


class Loops:
    """The functions of ``ENTRIES`` and ``EXTERNALS`` by name."""

    run: Callable[..., int]
    expand: Callable[..., int]
    insert_shards: Callable[..., None]
    fits: Callable[..., int]
    count_states: Callable[..., None]
    next_level: Callable[..., int]
    put: Callable[..., int]
    index_marks: Callable[..., None]
    mark_level: Callable[..., int]
    choose_step: Callable[..., None]
    inspect: Callable[..., int]
    run_on: Callable[..., int]
    mark_complete: Callable[..., int]
    settle_roots: Callable[..., None]
    sweep: Callable[..., int]
    step: Callable[..., int]
    check_state: Callable[..., int]
    threads_done: Callable[..., int]
    chosen: Callable[..., int]
    canonicalise: Callable[..., None]

    def __init__(self, functions: dict[str, Callable[..., Any]], *, native: bool) -> None:
        self.native = native
        self.__dict__.update(functions)


def native_loops(
    program: Program, layout: Layout, reductions: Reductions = NO_REDUCTIONS
) -> Loops:
    """Compile.  Raises NativeUnavailable and TooManyChoices.

    The loops depend on nothing of the program but the number of words, so that their
    machine code is almost always in the cache.
    """
    from pagerace.compiler.native import build, stepped

    try:
        native = build.compile_program(program, layout, reductions=reductions)
    except stepped.TooManyChoices as error:
        raise TooManyChoices(str(error), error.where) from None

    def made(entries: Sequence[Callable[..., Any]], effort: Effort) -> dict[str, Any]:
        functions = {entry.__name__: _signature(entry) for entry in entries}

        def codes() -> Sequence[Code]:
            from pagerace.compiler.program import compile_direct

            with bound(engine.Engine(words=layout.words)):
                return compile_direct(entries)[0]

        identity = (*functions, str(layout.words), sources_of(MODULES))
        native.add(build.make_ready(codes, functions, effort, *identity))
        return {name: native.function(name) for name in functions}

    functions = {name: native.function(name) for name in EXTERNALS}
    functions |= made(FORWARD, "loops") | made(BACKWARD, "search")
    return Loops(functions, native=True)


def _signature(entry: Callable[..., Any]) -> Function:
    """What native code takes and gives: pointers, numbers of 64 bits, or nothing."""
    from pagerace.compiler.native.direct import Function

    types = dict(entry.__annotations__)
    result = ir.NONE if types.pop("return") == "None" else ir.U64
    pointer = ir.Scalar(64, kind="ptr", element=ir.U64)
    parameters = [pointer if "ptr" in str(hint) else ir.U64 for hint in types.values()]
    return Function(entry.__name__, tuple(parameters), result, False)


@functools.cache
def sources_of(modules: tuple[types.ModuleType, ...]) -> str:
    """A hash of all source files on which the machine code of these loops can depend."""
    digest = hashlib.sha256()
    package = Path(engine.__file__).parents[1]
    files = [Path(module.__file__ or "") for module in modules]
    for folder in ("compiler", "compiler/native", "lang"):
        files += sorted((package / folder).glob("*.py"))
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def python_loops(
    words: int,
    step: Callable[..., int],
    check_state: Callable[..., int],
    threads_done: Callable[..., int],
    chosen: Callable[..., int] = lambda source: engine.EVERY,
    canonicalise: Callable[..., None] = lambda state, spare: None,
) -> Loops:
    """The same functions as Python, over any model that has the external ones."""
    names = {
        "Engine": types.SimpleNamespace(words=words),
        "step": step,
        "check_state": check_state,
        "threads_done": threads_done,
        "chosen": chosen,
        "canonicalise": canonicalise,
    }
    shared = plain_functions(MODULES, names)
    wanted = [*(entry.__name__ for entry in ENTRIES), *EXTERNALS]
    return Loops({name: shared[name] for name in wanted}, native=False)


def plain_functions(
    modules: Sequence[types.ModuleType], names: Mapping[str, Any]
) -> dict[str, Any]:
    """What the modules define, with their functions calling ``names`` where they name them."""
    shared: dict[str, Any] = {}
    for module in modules:
        shared |= vars(module)
    shared |= names
    known = {module.__name__ for module in modules}
    for name, value in list(shared.items()):
        if isinstance(value, types.FunctionType) and name not in names:
            if value.__module__ in known:
                shared[name] = types.FunctionType(value.__code__, shared, name)
    return shared


def interpreted_loops(
    program: Program, layout: Layout, reductions: Reductions = NO_REDUCTIONS
) -> Loops:
    """The loops as Python over the interpreter."""
    model = Interpreted(program, layout, reductions)
    return python_loops(
        layout.words, model.step, model.check_state, model.threads_done, model.chosen,
        model.canonicalise,
    )  # fmt: skip


class Interpreted:
    """The external functions as the interpreter and the reductions mean them."""

    def __init__(
        self, program: Program, layout: Layout, reductions: Reductions = NO_REDUCTIONS
    ) -> None:
        self.program, self.layout, self.reductions = program, layout, reductions
        self.bases = places.block_base(program)

    def _state(self, source: ptr[int]) -> interpreter.State:
        return self.layout.unpack([source[word] for word in range(self.layout.words)])

    def step(self, process: int, source: ptr[int], target: ptr[int], context: ptr[int]) -> int:
        given = [context[places.CHOICES + i] for i in range(context[places.GIVEN])]
        outcome = interpreter.step(
            self.program, self._state(source), process, given, record=False
        )
        if len(outcome.choices) > places.CHOICES_MAX:
            return places.TOO_MANY_CHOICES
        context[0] = len(outcome.choices)
        for i, (choice, radix) in enumerate(
            zip(outcome.choices, outcome.radices, strict=True)
        ):
            context[places.CHOICES + i] = choice
            context[places.RADICES + i] = radix
        self._note(process, outcome, context)
        if outcome.kind == "ok":
            for word, value in enumerate(self.layout.pack(outcome.state)):
                target[word] = value
        if outcome.check is not None:
            context[places.CHECK] = outcome.check.number
        codes = {"ok": places.OK, "blocked": places.BLOCKED, "finished": places.FINISHED,
                 "failed": places.FAILED, "endless": places.ENDLESS}  # fmt: skip
        return codes[outcome.kind]

    def _note(self, process: int, outcome: interpreter.Outcome, context: ptr[int]) -> None:
        """What accumulates: blocks executed, orders of locks."""
        for lock, held in outcome.locks:
            context[places.LOCKS + lock] |= held
        for block in outcome.blocks:
            byte = places.COVERAGE_BYTES + self.bases[process] + block
            context[byte // 8] |= 1 << byte % 8 * 8

    def check_state(self, source: ptr[int], context: ptr[int]) -> int:
        state = self._state(source)
        done = interpreter.threads_done(self.program, state)
        violated = 0
        context[places.CHECK] = places.NO_CHECK
        for index, item in enumerate(self.program.properties):
            if item.kind == "at_end" and not done:
                continue
            holds = self._evaluate(item, state)
            if item.kind == "sometimes":
                context[places.SOMETIMES] |= int(holds is True) << index
                holds = isinstance(holds, bool) or holds
            if holds is not True and not violated:
                violated = 1 + index
                if isinstance(holds, Check):
                    context[places.CHECK] = holds.number
        return violated

    def _evaluate(self, item: Property, state: interpreter.State) -> bool | Check:
        try:
            return interpreter.evaluate(self.program, item, state)
        except (NotPossible, EndlessLoop):
            return False

    def threads_done(self, source: ptr[int]) -> int:
        return int(interpreter.threads_done(self.program, self._state(source)))

    def chosen(self, source: ptr[int]) -> int:
        return self.reductions.chosen(self._state(source).pc)

    def canonicalise(self, state: ptr[int], spare: ptr[int]) -> None:
        for word, value in enumerate(self.layout.pack(
            self.reductions.canonical(self._state(state))
        )):  # fmt: skip
            state[word] = value
