"""Random protocols in kernel Python, for Hypothesis: source text that always compiles.

Sized integers of odd widths, signs, references, arrays, loops, atomic sections, waits,
choices, checks that can fail: whatever the executors could disagree about.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from hypothesis import strategies as st

HEADER = """\
from __future__ import annotations
from enum import Enum
from pagerace.lang import *
from pagerace.lang import s8, u1, u2, u3, u5, u13

class Colour(Enum):
    RED = 0
    GREEN = 1
    BLUE = 2

class Word(BitStruct):
    low: u3 = 0
    high: bool = False
    colour: Colour = Colour.RED

class Node(Struct):
    small: u2
    signed: s8
    wide: u13
    word: Word
    colour: Colour
    next: Node | None
    cells: Array[u3] = array(3)

nodes = pool(Node, 2)
root = Node()

"""

NUMBERS = ["node.small", "node.signed", "node.wide", "node.cells[{i}]", "x", "y", "root.small"]
OPERATORS = ["+", "-", "*", "&", "|", "^"]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]


@st.composite
def number(draw: st.DrawFn, depth: int = 2) -> str:
    """An expression of type u13."""
    kind = draw(st.integers(0, 4 if depth else 1))
    if kind == 0:
        return f"u13({draw(st.integers(0, 9))})"
    if kind == 1:
        name = draw(st.sampled_from(NUMBERS)).format(i=draw(st.integers(0, 2)))
        return f"u13({name})"
    if kind == 2:
        left, right = draw(number(depth - 1)), draw(number(depth - 1))
        return f"({left} {draw(st.sampled_from(OPERATORS))} {right})"
    if kind == 3:
        return f"({draw(number(depth - 1))} >> {draw(st.integers(0, 14))})"
    return f"({draw(number(0))} if {draw(condition(depth - 1))} else {draw(number(0))})"


@st.composite
def condition(draw: st.DrawFn, depth: int = 1) -> str:
    """An expression of type bool."""
    kind = draw(st.integers(0, 5 if depth else 3))
    if kind == 0:
        comparison = draw(st.sampled_from(COMPARISONS))
        return f"{draw(number(depth))} {comparison} {draw(number(0))}"
    if kind == 1:
        return f"node.signed {draw(st.sampled_from(COMPARISONS))} {draw(st.integers(-3, 3))}"
    if kind == 2:
        return draw(
            st.sampled_from(["node.next is None", "node.word.high", "root.next is node"])
        )
    if kind == 3:
        return f"node.colour is Colour.{draw(st.sampled_from(['RED', 'GREEN', 'BLUE']))}"
    joiner = draw(st.sampled_from(["and", "or"]))
    return f"({draw(condition(depth - 1))} {joiner} not {draw(condition(depth - 1))})"


SIMPLE = [
    "node.small += {n}",
    "node.signed -= s8({n})",
    "node.wide = {n}",
    "node.cells[{i}] = u3({n})",
    "x = {n}",
    "y = u5({n})",
    "node.word = node.word.replace(low=u3({n}))",
    "node.word = Word(high={c}, colour=node.colour)",
    "node.colour = Colour.BLUE if {c} else Colour.GREEN",
    "node.next = nodes[{i} % 2] if {c} else None",
    "x = u13(xchg(node.small, u2({n})))",
    "y = u5(cmpxchg(node.small, u2({n}), 1))",
    "node = nodes[x & 1]",
    "node = root if {c} else node",
    "y = u5(choose(2))",
    "assert {c} or {c}",
    "node.small = u2(node.next.small)",
    "trace('x is {{}}', x)",
    "WRITE_ONCE(node.small, u2({n}))",
    "x = helper(node, {n})",
]


@st.composite
def statements(draw: st.DrawFn, depth: int, length: int) -> list[str]:
    """Lines of a body, without indentation."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, length))):
        kind = draw(st.integers(0, 7 if depth else 3))
        if kind <= 3:
            template = draw(st.sampled_from(SIMPLE))
            values = iter(draw(st.lists(condition(), min_size=2, max_size=2)))
            while "{c}" in template:
                template = template.replace("{c}", next(values), 1)
            template = template.replace("{n}", draw(number(1)), 1)
            lines.append(
                template.replace("{i}", str(draw(st.integers(0, 2)))).replace("{{}}", "{}")
            )
            continue
        heads = {
            4: [f"if {draw(condition())}:"],
            5: ["with atomic():"],
            6: [f"for i in range({draw(st.integers(1, 2))}):"],
            7: ["with atomic():", f"    wait_until({draw(condition())})"],
        }[kind]
        lines += heads
        lines += ["    " + line for line in draw(statements(depth - 1, 2))]
        if kind == 4 and draw(st.booleans()):
            lines += ["else:", *("    " + line for line in draw(statements(0, 2)))]
    return lines


HELPER = """
def helper(node: Node, n: u13) -> u13:
    if node.small > 1:
        return n + node.wide
    node.small = 2
    return n

def bounded() -> bool:
    return root.wide != 5

def often() -> bool:
    return root.small == 2

generated = protocol(
    threads=[thread(first, cpu=0), thread(second, cpu=1)],
    always=[bounded],
    sometimes=[often],
)
"""


@st.composite
def sources(draw: st.DrawFn) -> str:
    """A protocol of two threads."""
    text = HEADER
    for name in ("first", "second"):
        start = draw(st.sampled_from(["root", "nodes[0]"]))
        lines = [
            f"node: Node = {start}",
            "x: u13 = 1",
            "y: u5 = 0",
            "node.next = root",
            *draw(statements(2, 4)),
        ]
        text += f"def {name}() -> None:\n" + "".join(f"    {line}\n" for line in lines) + "\n"
    return text + HELPER


_count = itertools.count()


def load(source: str) -> ModuleType:
    """A module of this text, in a file so that the compiler finds it."""
    name = f"generated_{next(_count)}"
    folder = Path(tempfile.mkdtemp(prefix="pagerace-"))
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
