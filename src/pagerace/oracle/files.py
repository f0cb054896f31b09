"""The files of a program, made before it starts and gone when it is over."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

from pagerace.oracle.program import PAGE, CannotJudge, File, first_content

_WRITE_AND_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER


def make(number: int, file: File, folder: Path) -> int:
    """A descriptor of a new file without a name, filled, all of it in the page cache.

    A regular file has been written to its disk: the kernel does that by itself some time,
    and write-protects its pages then.  Raises CannotJudge.
    """
    try:
        if file.kind == "memfd":
            made = os.memfd_create(f"pagerace-{number}", os.MFD_CLOEXEC)
        else:
            made = _nameless(folder)
    except OSError as error:
        where = "memfd_create()" if file.kind == "memfd" else f"a file in {folder}"
        raise CannotJudge(f"{where}: {error.strerror}") from None
    try:
        step = max(file.written_in, 1)
        for first in range(0, file.pages, step):
            last = min(first + step, file.pages)
            pages = (first_content(number, index) for index in range(first, last))
            data = b"".join(value.to_bytes(8, "little").ljust(PAGE, b"\0") for value in pages)
            if os.pwrite(made, data, first * PAGE) != len(data):
                raise CannotJudge(f"a file in {folder}: no space left")
        if file.kind != "memfd":
            _write_out(made)
    except OSError as error:
        os.close(made)
        raise CannotJudge(f"a file in {folder}: {error.strerror}") from None
    except BaseException:
        os.close(made)
        raise
    return made


def _nameless(folder: Path) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(folder, os.O_TMPFILE | flags, 0o600)
    except OSError:
        # Not every file system has such files.
        made, path = tempfile.mkstemp(prefix="pagerace-", dir=folder)
        os.unlink(path)
        return made


def _write_out(file: int) -> None:
    """All pages clean.  A commit of the journal, as fsync() makes it, is not needed."""
    offset = ctypes.c_int64(0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sync_file_range(file, offset, offset, ctypes.c_uint(_WRITE_AND_WAIT)):
        os.fsync(file)
