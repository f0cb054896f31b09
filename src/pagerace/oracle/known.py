"""The differences between mm/ and the running kernel that are meant to be.

docs/differences.md is made from this table.  Each is as narrow as it can be: what it does
not explain ends a run of ``pagerace diff`` with exit code 1.
"""

from __future__ import annotations

import textwrap

from pagerace.oracle import constants as c
from pagerace.oracle.compare import Context, Difference, Known
from pagerace.oracle.program import Madvise, Store


def _advised(advice: int, difference: Difference, context: Context) -> bool:
    """Did the program use this advice before?"""
    return any(
        isinstance(call, Madvise) and call.advice == advice
        for call in context.before(difference)
    )


def _lazily_freed(difference: Difference, context: Context) -> bool:
    return difference.what == "swapbacked" and _advised(c.MADV_FREE, difference, context)


def _stale(difference: Difference, context: Context) -> bool:
    """One fault more, of a store to a page that was there before the call."""
    call = context.call(difference)
    if difference.what != "minor faults" or difference.model - difference.kernel != 1:
        return False
    if not isinstance(call, Store) or difference.step == 0:
        return False
    for space in context.model[difference.step - 1].spaces:
        if space.process == call.actor:
            return space.pages is not None and call.page in space.pages
    return False


KNOWN: tuple[Known, ...] = (
    Known(
        "lazyfree-batch",
        "MADV_FREE puts a folio into a batch of its CPU (`folio_mark_lazyfree()` of "
        "mm/swap.c), and PG_swapbacked is cleared when the batch is full or drained. When that "
        "is depends on what else the CPU did: the same program, run twice, shows both. mm/ has "
        "no such batches and keeps the flag.",
        _lazily_freed,
    ),
    Known(
        "stale-translation",
        "A PTE that becomes writable is not flushed (`ptep_set_access_flags()` on x86): a CPU "
        "that has the read-only translation takes one more fault, finds the PTE as it should "
        "be and goes on. In mm/ the CPU still has the translation. The real one has forgotten "
        "it, for another process looked at /proc meanwhile; it may do so at any time.",
        _stale,
    ),
)


NOT_GENERATED = (
    "Holes of regular files: reading one brings its neighbours, as far as the kernel's "
    "readahead likes. Files in memory (memfd) have them.",
    "Regular files written in large pieces, whose folios have several pages, and huge pages of "
    "files: the only folios of several pages are anonymous ones of 2 MiB. khugepaged is kept "
    "asleep, and nothing is moved to where the kernel likes, for that decides what is split.",
    "MADV_COLD in programs about huge pages: of a part of one it splits the folio, which mm/ "
    "leaves out.",
    "Swapping and reclaim: programs are small, and nothing takes their pages away.",
)


def markdown() -> str:
    """docs/differences.md."""
    lines = [
        "# Where mm/ differs from the running kernel on purpose",
        "",
        "`pagerace diff` counts each of these and goes on; anything else is reported.",
        "This page is made from `src/pagerace/oracle/known.py`.",
    ]
    for item in KNOWN:
        lines += ["", f"## {item.name}", "", *textwrap.wrap(item.reason, 92)]
    lines += ["", "## What generated programs leave out", ""]
    for words in NOT_GENERATED:
        lines += textwrap.wrap(words, 92, initial_indent="* ", subsequent_indent="  ")
    return "\n".join(lines) + "\n"
