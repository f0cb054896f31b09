"""The table of known differences, and the page that is made from it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pagerace.oracle import constants as c
from pagerace.oracle.compare import Context, Difference
from pagerace.oracle.known import KNOWN, markdown
from pagerace.oracle.program import Load, Madvise, Observation, Page, Program, Space, Store

PAGE = Path(__file__).resolve().parents[2] / "docs" / "differences.md"


def test_the_page_is_the_table() -> None:
    """PAGERACE_UPDATE_DOCS=1 writes it anew."""
    if os.environ.get("PAGERACE_UPDATE_DOCS"):
        PAGE.write_text(markdown(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == markdown()


def test_names_are_slugs_and_reasons_are_sentences() -> None:
    assert len({item.name for item in KNOWN}) == len(KNOWN)
    for item in KNOWN:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", item.name)
        assert item.reason.endswith(".") and len(item.reason) > 80


def test_lazyfree_explains_one_flag_and_only_after_the_advice() -> None:
    known = next(item for item in KNOWN if item.name == "lazyfree-batch")
    free = Program((Madvise(0, 0, 1, c.MADV_FREE), Load(0, 0)))
    other = Program((Madvise(0, 0, 1, c.MADV_DONTNEED), Load(0, 0)))
    flag = Difference(1, "flags", "swapbacked", False, True, 0, 0)
    assert known.explains(flag, Context(free, (), ()))
    assert not known.explains(flag, Context(other, (), ()))
    content = Difference(1, "contents", "content", 1, 0, 0, 0)
    assert not known.explains(content, Context(free, (), ()))


def test_a_stale_translation_explains_one_fault_of_a_store_to_a_page_that_was_there() -> None:
    known = next(item for item in KNOWN if item.name == "stale-translation")
    program = Program((Load(0, 3), Store(0, 3, 1), Store(0, 4, 1)))
    seen = Observation(0, spaces=(Space(0, {3: Page(c.PM_PRESENT)}, ()),))
    context = Context(program, (seen,) * 3, (seen,) * 3)
    assert known.explains(Difference(1, "faults", "minor faults", 0, 1), context)
    assert not known.explains(Difference(1, "faults", "minor faults", 0, 2), context)
    assert not known.explains(Difference(1, "faults", "minor faults", 1, 0), context)
    assert not known.explains(Difference(2, "faults", "minor faults", 0, 1), context)
    assert not known.explains(Difference(0, "faults", "minor faults", 0, 1), context)
