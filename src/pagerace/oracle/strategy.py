"""Programs as a Hypothesis strategy, for those who test with them: ``pagerace[diff]``."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from pagerace.oracle.generate import Draw, Features, Generator
from pagerace.oracle.program import Program
from pagerace.oracle.shrink import alive_only

# The draws of one call, as one number in a mixed radix, so that there is little to shrink.
# 0: the call is left out.  So programs are as long as those from a seed, and still shrink.
_ENTROPY = st.integers(0, 2**60 - 1)


def _from(number: int) -> Draw:
    """Draws from a number; when it is used up, the simplest choice."""
    left = number

    def draw(n: int) -> int:
        nonlocal left
        left, drawn = divmod(left, n)
        return drawn

    return draw


@st.composite
def programs(
    draw: st.DrawFn, calls_max: int = 30, features: Features | None = None, window: int = 256
) -> Program:
    """Programs of at most ``calls_max`` calls; they shrink to few calls and small numbers."""
    generator = Generator(_from(draw(_ENTROPY)), features or Features(), window)
    program = generator.program(0)
    for number in draw(st.lists(_ENTROPY, min_size=calls_max, max_size=calls_max)):
        if number:
            generator.draw = _from(number - 1)
            program = replace(program, calls=(*program.calls, generator.call()))
    return replace(program, calls=alive_only(program.calls))
