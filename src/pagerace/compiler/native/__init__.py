"""Native code through LLVM: ``build`` makes it, ``context`` is the memory it shares.

``text`` writes LLVM IR; ``body`` and ``flow`` turn one function of ours into it;
``stepped`` (with ``words``, ``cells`` and ``properties``) does so for the search, and
``direct`` for plain functions.  LLVM itself is imported when something is compiled.
"""

from pagerace.compiler.native.build import (
    Native,
    NativeUnavailable,
    compile_direct,
    compile_program,
)
from pagerace.compiler.native.context import block_base, context_bytes
from pagerace.compiler.native.stepped import TooManyChoices

__all__ = [
    "Native",
    "NativeUnavailable",
    "TooManyChoices",
    "block_base",
    "compile_direct",
    "compile_program",
    "context_bytes",
]
