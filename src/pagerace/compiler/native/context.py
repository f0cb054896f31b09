"""What stands in the memory that the search and the native code share.

A context belongs to one thread of the search.  In 64-bit words:

    0        out: choices made in the step
    1..8     in: the first [17] choices; out: all that were made
    9..16    out: of how many each was
    17       in: how many choices are given; those beyond are 0
    18       out: number of the Check that failed; after check_state NO_CHECK if none did
    20       out: bit i is set where "sometimes" property i was found to hold
    32..95   out: bit mask of the locks held when lock [i - 32] was taken, accumulated
    96..     out: a byte a block (see ``block_base``), 1 where a step ran it to its end

What is "out" and accumulates must be zero at first; so must word 17.  Standard library
only: the search reads a context without LLVM.
"""

from __future__ import annotations

from pagerace.compiler.ir import Program

# What step returns.  After all but OK the words of the target mean nothing.
OK = 0
BLOCKED = 1
FINISHED = 2
FAILED = 3
ENDLESS = 4
TOO_MANY_CHOICES = 5  # only where choose() stands in a loop without a point

CHOICES_MAX = 8
PROPERTIES_MAX = 64
LOCKS_MAX = 64

CHOICES = 1
RADICES = 9
GIVEN = 17
CHECK = 18
SOMETIMES = 20
LOCKS = 32
COVERAGE_BYTES = 768  # where the bytes of the blocks start

NO_CHECK = (1 << 64) - 1


def block_base(program: Program) -> list[int]:
    """The byte of each process's block 0, counted from COVERAGE_BYTES."""
    bases: list[int] = []
    total = 0
    for process in program.processes:
        bases.append(total)
        total += len(process.code.blocks)
    return bases


def context_bytes(program: Program) -> int:
    """The size of a context: a multiple of 64, so that contexts share no cache line."""
    blocks = sum(len(process.code.blocks) for process in program.processes)
    return (COVERAGE_BYTES + blocks + 63) // 64 * 64
