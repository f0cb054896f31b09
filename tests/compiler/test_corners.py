"""Rules of the language that decide a verdict: brute force and the search agree."""

from __future__ import annotations

import pytest

from pagerace import search
from pagerace.compiler.diagnostic import CompileError
from pagerace.compiler.program import compile_protocol
from tests import reference

from . import corner_protocols


@pytest.mark.parametrize("name", corner_protocols.VERDICTS)
def test_verdict(name: str) -> None:
    protocol = corner_protocols.VERDICTS[name]
    program = compile_protocol(protocol, name)
    found = reference.search(program)
    assert set(found.violations) == {protocol.expect.violated} - {None}
    result = search.check(program, workers=1)
    assert (result.verdict == "violated") == bool(found.violations)


@pytest.mark.parametrize("name", corner_protocols.REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(CompileError):
        compile_protocol(corner_protocols.REFUSED[name], name)

def test_the_way_to_an_element_is_loaded_once() -> None:
    program = compile_protocol(corner_protocols.ELEMENT_STORE, "element")
    process = program.processes[0]
    points = [process.code.blocks[number].point for number in process.points]
    assert [point.why for point in points if point] == [
        "load mm_with_tables.pgd", "store TableToWalk.entry",
    ]  # fmt: skip
