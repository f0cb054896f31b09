"""The IR as text."""

from __future__ import annotations

from enum import Enum

import pytest

from pagerace.compiler import show
from pagerace.compiler.ir import BOOL, INT, NONE, U64, Scalar
from pagerace.compiler.memory import Memory
from pagerace.lang import BitStruct, u5
from tests.assembly import Assembly, const, family, program


class Color(Enum):
    RED = 5
    GREEN = 7
    BLUE = 9


class pte(BitStruct):
    pfn: u5
    present: bool
    writable: bool
    color: Color


PAGE = Scalar(2, kind="ref", cls=type("Page", (), {}), nullable=True)


def test_a_code_as_text() -> None:
    x, next_page = family("Page.x", count=2), family("Page.next", PAGE)
    a = Assembly("zap")
    value = a.load(x, 1, "once", name="value")
    then, after = a.block(), a.block()
    a.branch(a.op("lt", value, 3), then, after)
    a.at(then).begin("xchg Page.x")
    a.store(x, a.op("convert", a.choose(4), to=Scalar(8, signed=True)), value, "atomic")
    a.end()
    a.jump(after)
    a.at(after).note("trace", "done {}", value)
    a.load(next_page)
    a.check(const(0, BOOL), "assert")
    code = program([x, next_page], [a]).processes[0].code
    assert show.show(code) == (
        "code zap\n"
        "  value.0: u8\n"
        "  %.1: bool\n"
        "  %.2: u8\n"
        "  %.3: s8\n"
        "  %.4: Page | None\n"
        "block 0, point 0: load pages[1].x\n"
        "  live -; reads Page.x[1]; writes -\n"
        "    value.0 = load once Page.x[1]                // zap:1\n"
        "    %.1 = lt value.0, 3  (u8)                    // zap:2\n"
        "    branch %.1 ? 1 : 2\n"
        "block 1, point 1: xchg Page.x\n"
        "  live value.0; reads -; writes Page.x[*]; chooses\n"
        "    %.2 = choose 4                               // zap:4\n"
        "    store atomic Page.x[value.0] = %.2           // zap:6\n"
        "    jump 2\n"
        "block 2\n"
        "    trace 'done {}' value.0                      // zap:8\n"
        "    jump 3\n"
        "block 3, point 2: load pages[0].next\n"
        "  live -; reads Page.next[0]; writes -\n"
        "    %.4 = load Page.next[0]                      // zap:9\n"
        "    check false: assert                          // zap:10\n"
        "    return\n"
    )


def test_a_function_as_text() -> None:
    a = Assembly("twice")
    n = a.parameter(U64, "n")
    assert show.show(a.result(a.op("add", n, n))).splitlines()[0] == "code twice(n.0) -> u64"


@pytest.mark.parametrize(
    ("scalar", "bits", "text"),
    [
        (BOOL, 1, "true"),
        (Scalar(8), 255, "255"),
        (U64, 0x8E7000, "0x8e7000"),
        (INT, 0xFFFFFFFF, "-1"),
        (NONE, 0, "None"),
        (PAGE, 0, "None"),
        (PAGE, 2, "Page 1"),
        (Scalar(2, kind="enum", cls=Color), 1, "GREEN"),
        (Scalar(2, kind="enum", cls=Color), 3, "3"),
        (Memory().scalar(pte), 0, "0"),
        (Memory().scalar(pte), 3 | 1 << 5 | 2 << 7, "pfn 3 present color BLUE"),
    ],
)
def test_a_value_as_text(scalar: Scalar, bits: int, text: str) -> None:
    assert show.value(scalar, bits) == text


def test_objects_have_the_names_of_their_cells() -> None:
    made = program([family("Page.x", count=2), family("Page.next", PAGE, 2)], [])
    assert show.object_names(made) == {"Page": ["pages[0]", "pages[1]"]}
    assert show.value(PAGE, 2, show.object_names(made)) == "pages[1]"


def test_fill() -> None:
    assert show.fill("a {} b {}", ["1", "{}"]) == "a 1 b {}"
    assert show.fill("a {}", []) == "a {}"
    assert show.fill("{{}} {} {{{}}}", ["1", "2"]) == "{} 1 {2}"
