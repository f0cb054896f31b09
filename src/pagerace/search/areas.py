"""Memory of the search outside Python's heap: reserved large, used from the front.

The system gives an address range at once and pages when they are first touched, so an
area never has to be moved or copied when it fills.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any, Literal, TypeAlias

from pagerace.lang.direct import ptr

Format: TypeAlias = Literal["Q", "I"]

ELEMENT_BYTES: dict[Format, int] = {"Q": 8, "I": 4}
PAGE_BYTES = mmap.PAGESIZE

# The address range counts for nothing until it is touched.  Linux has one number for
# this flag on all the machines it runs on but a few, and Python knows it from 3.12 on.
_LINUX_NORESERVE = 0x4000 if sys.platform == "linux" else 0
_NORESERVE = getattr(mmap, "MAP_NORESERVE", _LINUX_NORESERVE)


class Area:
    """``count`` integers, all 0 at first: of 64 bits ("Q") or 32 bits ("I").

    ``view`` is for Python.  ``at(i)`` is what the loops take for the address of element
    ``i``: a number for native code, a ``ptr`` for the same loops run as Python.  Raises
    MemoryError where the system refuses the range.
    """

    def __init__(self, count: int, format: Format, *, native: bool) -> None:
        self.count, self.element = count, ELEMENT_BYTES[format]
        size = max(1, count) * self.element
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
        try:
            self._map = mmap.mmap(-1, size, flags=flags)
        except (OSError, ValueError, OverflowError) as error:
            raise MemoryError(f"no address range of {size:,} bytes") from error
        self.view: memoryview[int] = memoryview(self._map).cast(format)
        self._native = native
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def at(self, index: int = 0) -> Any:
        """The address of element ``index``, as the loops take it."""
        if self._native:
            return self.address + index * self.element
        elements: Any = self.view
        return ptr(elements, index)

    def close(self) -> None:
        """Give the memory back.  The area must not be used any more."""
        self.view.release()
        try:
            self._map.close()
        except BufferError:  # a ptr of a Python run still looks at it
            return
