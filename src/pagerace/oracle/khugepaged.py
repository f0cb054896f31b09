"""khugepaged of the running kernel, kept asleep while programs about huge pages run.

It looks for small pages to put together in each process that has used MADV_HUGEPAGE, and when
it comes depends on all of them.  It sleeps between two rounds for as long as a file of /sys
says, one for the whole machine; a shell waits beside us and puts the old value back should we
be killed.  It would wake for the first process of all, so this one is among them.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

from pagerace.oracle.fault_around import FaultAround

SLEEP = Path("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs")
# A day; and how long a round that has begun may take.
LONG = 86_400_000
ROUND_S = 0.2
_HUGE = 1 << 21


def refusal(path: Path = SLEEP) -> str:
    """Why it cannot be kept asleep here, "" if it can."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


class Asleep:
    """khugepaged sleeps until close().  Raises CannotJudge if that is refused."""

    def __init__(self, path: Path = SLEEP) -> None:
        self._setting = FaultAround(path)
        # Something to look at: a first store makes this process one of those.
        self._memory = mmap.mmap(-1, 2 * _HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._memory[_HUGE] = 1
        try:
            self._setting.set(LONG)  # which wakes it for a last round
        except BaseException:
            self._memory.close()
            raise
        time.sleep(ROUND_S)

    def close(self) -> None:
        """The setting is what it was."""
        self._setting.restore()
        self._setting.close()
        self._memory.close()
