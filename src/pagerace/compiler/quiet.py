"""No search for garbage while much is made of which nearly all is kept.

Compiling allocates a few hundred thousand objects and no rings of them worth a search;
Python's collector went through all of them again and again, a fifth of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Generator[None]:
    """Let the garbage collector rest, if it is on; also as a decorator."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
