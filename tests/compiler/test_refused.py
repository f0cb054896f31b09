"""What kernel Python refuses: the slug and the place, and all mistakes at once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.compiler.program import compile_protocol
from pagerace.lang import protocol, thread

HEADER = """\
from __future__ import annotations
import time
from enum import Enum
from pagerace.lang import *
from pagerace.lang import u4, u8, u16, s8

class State(Enum):
    IDLE = 0
    BUSY = 1

class Flags(BitStruct):
    dirty: bool = False
    order: u4 = 0

class Page(Struct):
    count: u8
    flags: Flags
    next: Page | None
    words: Array[u8] = array(4)

class Task(Struct):
    depth: u8

pages = pool(Page, 2)
page = Page()
tasks = per_thread(Task)

"""

# Each body is that of ``def run() -> None``; the mistake is on the line with the mark.
REFUSED = {
    "unsupported-statement": [
        "try:  #!\n    pass\nexcept ValueError:\n    pass",
        "raise ValueError  #!",
        "del page  #!",
        "global page  #!",
        "for i in range(3):  #!\n    pass\nelse:\n    pass",
        "a = b = page.count  #!",
        "a, b = page.count, 1  #!",
        "match page.count:\n    case [1, 2]:  #!\n        pass",
        "n: u8  #!",
    ],
    "unsupported-import": ["import os  #!", "from os import path  #!"],
    "unsupported-expression": [
        "x = [1, 2]  #!",
        "x = 1.5  #!",
        'x = f"{page.count}"  #!',
        "x = lambda: 1  #!",
        "x = page.count / 2  #!",
        "x = page.count ** 2  #!",
        "x = page.count in (1, 2)  #!",
        "x = page.words  #!",
        'print("hello")  #!',
        "time.sleep(1)  #!",
        "x = Page()  #!",
        "x = page.count[0]  #!",
        "x = run  #!",
    ],
    "unsupported-with": [
        'with open("log") as f:  #!\n    pass',
        "with page:  #!\n    pass",
        "with atomic() as a:  #!\n    pass",
    ],
    "unknown-name": [
        "x = pagee  #!",
        "x = page.cuont  #!",
        "x = page.flags.dirt  #!",
        "x = State.BISY  #!",
        "x = pages.size()  #!",
        "x = page.flags.replace(dirt=True)  #!",
        "x += 1  #!",
    ],
    "unknown-type": ["n: float = 0  #!", "n: u99 = 0  #!"],
    "type-mismatch": [
        "page.count = None  #!",
        "page.count = State.IDLE  #!",
        "page.next = 1  #!",
        "n: u4 = page.count  #!",
        "n: u4 = 16  #!",
        "x = page.count + page.flags  #!",
        "x = page.count == State.IDLE  #!",
        "x = State.IDLE < State.BUSY  #!",
        "if page.flags:  #!\n    pass",
        "x = 1 << page.count  #!",
        "x = s8(1) // page.count  #!",
        "x = None  #!",
        "return 1  #!",
        "x = page.count + 300  #!",
        "x = Flags(order=16)  #!",
        "x = page.count or 5  #!",
        "x = u4(1)\nfor x in page.words:  #!\n    pass",
        "x = u4(1)\nfor x in range(300):  #!\n    pass",
        'x = "a" < "b"  #!',
    ],
    "recursion": ["run()  #!"],
    "not-a-place": [
        "WRITE_ONCE(1, 2)  #!",
        "x = xchg(page.count + 1, 2)  #!",
        "pages[0] = page  #!",
    ],
    "bit-store": ["page.flags.dirty = True  #!", "f = page.flags\nf.dirty = True  #!"],
    "unbounded-for": [
        "for x in page.count:  #!\n    pass",
        "for i in range(0, 9, page.count):  #!\n    pass",
    ],
    "wrong-arguments": [
        "x = READ_ONCE()  #!",
        "x = len(page)  #!",
        "helper(1)  #!",
        "helper(1, 2, 3)  #!",
        'trace("{} and {}", 1)  #!',
        "trace(page.count)  #!",
        "x = Flags(True)  #!",
    ],
    "not-constant": [
        "bug_on(page.count == 0, page.count)  #!",
        "assert page.count, page.count  #!",
    ],
    "choose-range": ["x = choose(0)  #!"],
    "missing-annotation": ["unannotated(1)  #!elsewhere"],
    "missing-return": ["x = maybe(page.count)  #!elsewhere"],
}

FOOTER = """

def helper(a: u8, b: u8) -> u8:
    return a + b

def unannotated(a) -> None:
    pass

def maybe(a: u8) -> u8:
    if a > 1:
        return a
"""

CASES = [(slug, body) for slug, bodies in REFUSED.items() for body in bodies]


def _module(tmp_path: Path, source: str) -> ModuleType:
    path = tmp_path / "sample.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("sample", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sample"] = module
    spec.loader.exec_module(module)
    return module


def _refused(tmp_path: Path, body: str) -> tuple[list[Diagnostic], list[int]]:
    """The diagnostics for a thread with this body, and the lines that are marked."""
    indented = "\n".join("    " + line for line in body.splitlines())
    source = HEADER + "def run() -> None:\n" + indented + FOOTER
    module = _module(tmp_path, source)
    with pytest.raises(CompileError) as error:
        compile_protocol(protocol(threads=[thread(module.run)]))
    marked = [i for i, line in enumerate(source.splitlines(), 1) if line.endswith("#!")]
    return error.value.diagnostics, marked


@pytest.mark.parametrize(("slug", "body"), CASES)
def test_refused(tmp_path: Path, slug: str, body: str) -> None:
    diagnostics, marked = _refused(tmp_path, body)
    assert [d.slug for d in diagnostics] == [slug], diagnostics
    if marked:
        assert [d.line for d in diagnostics] == marked
    assert diagnostics[0].message
    assert diagnostics[0].column < diagnostics[0].end_column


def test_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    body = "x = pagee  #!\ny = x + 1\npage.count = None  #!\nhelper(1)  #!\nz = 1.5  #!"
    diagnostics, marked = _refused(tmp_path, body)
    assert [d.line for d in diagnostics] == marked
    assert [d.slug for d in diagnostics] == [
        "unknown-name",
        "type-mismatch",
        "wrong-arguments",
        "unsupported-expression",
    ]


def test_a_protocol_without_threads() -> None:
    with pytest.raises(CompileError) as error:
        compile_protocol(protocol(threads=[]))
    assert error.value.diagnostics[0].slug == "no-threads"
    assert error.value.diagnostics[0].file == __file__
