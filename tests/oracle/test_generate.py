"""Programs are the same each time, valid, and have what they are for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from hypothesis import find, given, settings

from pagerace.oracle.document import program_from_json, program_to_json
from pagerace.oracle.generate import Features, from_seed
from pagerace.oracle.program import Fork, Mmap, Munmap, Program
from pagerace.oracle.strategy import programs


def _text(program: Program) -> str:
    return json.dumps(program_to_json(program), sort_keys=True)


def test_a_seed_and_a_number_are_a_program() -> None:
    """A different text here means that old seeds name other programs: say so in the log."""
    digest = hashlib.sha256("".join(_text(from_seed(7, i)) for i in range(50)).encode())
    assert digest.hexdigest()[:16] == "d25b62e3127e72c7"
    assert from_seed(7, 3) != from_seed(8, 3)
    assert len(from_seed(7, 3, calls=12).calls) == 12


def test_every_program_can_be_judged() -> None:
    for number in range(300):
        program = from_seed(1, number)
        assert program_from_json(program_to_json(program)) == program  # checks actors
        for call in program.calls:
            if isinstance(call, Mmap | Munmap):
                assert call.address >= 0 and call.address + call.length <= program.window


def test_programs_use_every_call_and_feature() -> None:
    calls: Counter[str] = Counter()
    splits = forks = wrong = 0
    for number in range(300):
        program = from_seed(2, number)
        calls.update(type(call).__name__ for call in program.calls)
        forks += any(isinstance(call, Fork) for call in program.calls)
        wrong += any(isinstance(c, Mmap | Munmap) and c.length == 0 for c in program.calls)
        splits += any(isinstance(call, Munmap) and call.length > 1 for call in program.calls)
    assert len(calls) == 14
    assert min(calls.values()) > 20
    assert forks > 100 and splits > 100 and wrong > 5


def test_features_restrict_the_programs() -> None:
    some = Features(operations={"mmap": 1, "store": 3}, files=("memfd",))
    program = from_seed(5, 0, 60, some)
    assert {type(call).__name__ for call in program.calls} == {"Mmap", "Store"}
    assert {file.kind for file in program.files} == {"memfd"}


@settings(max_examples=30, deadline=None, database=None)
@given(programs(8))
def test_the_strategy_makes_programs_that_can_be_judged(program: Program) -> None:
    assert program_from_json(program_to_json(program)) == program
    assert len(program.calls) <= 8


def test_the_strategy_shrinks() -> None:
    """Of 30 calls, the fork is left, or one more that the draws happen to need."""
    small = find(
        programs(30),
        lambda program: any(isinstance(call, Fork) for call in program.calls),
        settings=settings(database=None, deadline=None),
    )
    assert len(small.calls) <= 2
