"""What a summary says of a step is what the interpreter does, in every state on the way."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings

from pagerace.compiler import interpreter, ir
from pagerace.compiler.ir import Program, Reg
from pagerace.compiler.program import compile_protocol
from pagerace.compiler.ranges import interval, intervals
from pagerace.compiler.symmetry.diagram import Bits, Diagrams, TooLarge, Unsupported
from pagerace.compiler.symmetry.symbolic import Key, Source, Summariser, lines_of
from pagerace.protocols import t4_lost_write
from tests import generated
from tests.compiler.symmetry import programs, samples
from tests.compiler.symmetry.samples import claim
from tests.compiler.symmetry.test_diagram import evaluate

CLAIMS = {
    "alike": claim(samples.alike, 2, samples.in_order, always=[samples.few_are_busy]),
    "asking": samples.asking(3),
    "first": claim(samples.first_goes_first, 3, always=[samples.no_two_values]),
    "v6_2": t4_lost_write.v6_2,
    "v6_0": t4_lost_write.v6_0,
}


class Unknowns:
    """A source of states that remembers which variables stand for what."""

    def __init__(self, program: Program, process: ir.Process | None) -> None:
        self.program, self.process = program, process
        self.diagrams = Diagrams()
        self.bits: dict[tuple[object, ...], Bits] = {}
        self.ranges = intervals(process.code) if process is not None else []
        self.source = Source(self.cell, self.register, self.interval)

    def known(self, key: tuple[object, ...], bits: int) -> Bits:
        if key not in self.bits:
            self.bits[key] = self.diagrams.unknown(bits)
        return self.bits[key]

    def cell(self, family: ir.Family, index: int) -> Bits:
        return self.known(("cell", family.number, index), family.type.bits)

    def register(self, register: Reg) -> Bits:
        return self.known(("register", register.number), register.type.bits)

    def interval(self, register: Reg) -> tuple[int, int]:
        return interval(self.ranges, register)

    def assignment(self, state: interpreter.State) -> dict[int, int]:
        """The values of all variables in a state."""
        found: dict[int, int] = {}
        for key, bits in self.bits.items():
            match key:
                case ("cell", int(family), int(index)):
                    value = state.memory[family][index]
                case ("register", int(number)) if self.process is not None:
                    value = state.locals[self.process.index].get(number, 0)
                case _:
                    raise AssertionError(key)
            for place, bit in enumerate(bits):
                found[self.diagrams._node[bit][0]] = value >> place & 1  # pyright: ignore
        return found


def compare(program: Program, state: interpreter.State, process: ir.Process) -> bool:
    """Compare all outcomes of a step; False if it is too much for diagrams."""
    pc = state.pc[process.index]
    if pc == len(process.points):
        return False
    unknowns = Unknowns(program, process)
    d = unknowns.diagrams
    try:
        summaries = Summariser(process.code, d).step(process.points[pc], unknowns.source)
    except (TooLarge, Unsupported):
        return False
    values = unknowns.assignment(state)
    touched = {key[:3] for summary in summaries for key, _ in summary if key[0] == "cell"}
    said: set[frozenset[Key]] = set()
    for summary in summaries:
        found = {key for key, node in summary if evaluate(d, node, values)}
        here = {key[:3] for key, _ in summary}
        for _, family, index in touched - here:
            value = state.memory[family][index]  # pyright: ignore
            found |= {("cell", family, index, bit) for bit in ones(value)}
        said.add(of_interest(found))
    done = {
        of_interest(effect(process, outcome, touched))
        for outcome in interpreter.enumerate_steps(program, state, process.index, record=False)
    }
    assert said == done
    return True


def of_interest(found: Iterable[Key]) -> frozenset[Key]:
    """A step that is blocked or fails does nothing else."""
    kept = frozenset(found)
    return kept & {("blocked",), ("failed",)} or kept


def effect(
    process: ir.Process, outcome: interpreter.Outcome, touched: set[tuple[object, ...]]
) -> Iterable[Key]:
    """An outcome in the words of a summary."""
    if outcome.kind != "ok":
        yield ("blocked",) if outcome.kind == "blocked" else ("failed",)
    else:
        pc = outcome.state.pc[process.index]
        yield "next", -1 if pc == len(process.points) else pc
        for number, value in outcome.state.locals[process.index].items():
            yield from (("register", pc, number, bit) for bit in ones(value))
        for lock, held in outcome.locks:
            yield from (("lock", lock, bit) for bit in ones(held))
        for _, family, index in touched:
            value = outcome.state.memory[family][index]  # pyright: ignore
            yield from (("cell", family, index, bit) for bit in ones(value))
    for block in outcome.blocks:
        yield from lines_of(process.code.blocks[block])


def ones(value: int) -> list[int]:
    return [bit for bit in range(value.bit_length()) if value >> bit & 1]


def compare_properties(program: Program, state: interpreter.State) -> None:
    for property in program.properties:
        unknowns = Unknowns(program, None)
        d = unknowns.diagrams
        done = int(interpreter.threads_done(program, state))
        parameters = {register.number: (done,) for register in property.code.parameters}
        try:
            holds, failed = Summariser(property.code, d).value(unknowns.source, parameters)
        except (TooLarge, Unsupported):
            continue
        values = unknowns.assignment(state)
        result = interpreter.evaluate(program, property, state)
        assert evaluate(d, holds, values) == (result is True)
        assert evaluate(d, failed, values) == isinstance(result, ir.Check)


def walk(program: Program, seed: int, steps: int) -> int:
    """Compare along one execution; how many steps were compared."""
    chance = random.Random(seed)
    state, compared = interpreter.initial(program), 0
    for _ in range(steps):
        for process in program.processes:
            compared += compare(program, state, process)
        compare_properties(program, state)
        following = [
            outcome.state
            for process in program.processes
            for outcome in interpreter.enumerate_steps(program, state, process.index)
            if outcome.kind == "ok"
        ]
        if not following:
            break
        state = chance.choice(following)
    return compared


@pytest.mark.parametrize("name", CLAIMS)
def test_steps_and_properties(name: str) -> None:
    program = samples.program(CLAIMS[name])
    assert sum(walk(program, seed, 40) for seed in range(4)) > 20


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(programs.sources())
def test_generated(source: str) -> None:
    walk(compile_protocol(generated.load(source).generated, "generated"), 1, 12)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(generated.sources())
def test_generated_of_all_kinds(source: str) -> None:
    """Odd widths, signs, references: whatever the language has."""
    walk(compile_protocol(generated.load(source).generated, "generated"), 1, 8)
