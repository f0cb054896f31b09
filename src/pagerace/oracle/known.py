"""The differences between mm/ and the running kernel that are meant to be.

docs/differences.md is made from this table.  Each is as narrow as it can be: what it does
not explain ends a run of ``pagerace diff`` with exit code 1.
"""

from __future__ import annotations

from pagerace.oracle.compare import Known

KNOWN: tuple[Known, ...] = ()


def markdown() -> str:
    """docs/differences.md."""
    lines = [
        "# Where mm/ differs from the running kernel on purpose",
        "",
        "`pagerace diff` counts each of these and goes on; anything else is reported.",
        "This page is made from `src/pagerace/oracle/known.py`.",
    ]
    for item in KNOWN:
        lines += ["", f"## {item.name}", "", item.reason]
    return "\n".join(lines) + "\n"
