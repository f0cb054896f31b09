"""pagerace: a model checker for the Linux page-table layer.

Authors of kernel Python import from ``pagerace.lang``, ``pagerace.machine`` and
``pagerace.mm``.  What stands here runs a claim:

    from pagerace import check
    from pagerace.protocols.t4_lost_write import v6_0

    print(check(v6_0))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pagerace.api import ScheduleError, check, reproduce
    from pagerace.compiler.diagnostic import CompileError, Diagnostic
    from pagerace.lang.protocol import Protocol, protocol
    from pagerace.report.execution import Execution
    from pagerace.report.summary import Summary

__version__ = "0.1.0"

__all__ = [
    "CompileError",
    "Diagnostic",
    "Execution",
    "Protocol",
    "ScheduleError",
    "Summary",
    "__version__",
    "check",
    "protocol",
    "reproduce",
]

# Where each name is.  They are imported when first used: help must not wait for LLVM.
_HOMES = {
    "CompileError": "pagerace.compiler.diagnostic",
    "Diagnostic": "pagerace.compiler.diagnostic",
    "Execution": "pagerace.report.execution",
    "Protocol": "pagerace.lang.protocol",
    "ScheduleError": "pagerace.api",
    "Summary": "pagerace.report.summary",
    "check": "pagerace.api",
    "protocol": "pagerace.lang.protocol",
    "reproduce": "pagerace.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagerace' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
