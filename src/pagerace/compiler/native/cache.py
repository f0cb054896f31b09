"""Object code kept on disk between runs.  It only saves time: every failure is silent.

A file is named by the hash of all that its content depends on and starts with the hash
of its content, so that a damaged file is noticed and made again.  Since it holds code
that will be run, the folder must belong to the user and be writable by nobody else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

BYTES_MAX = 64 << 20  # of all files; the longest unused go first
_FORMAT = "1"
_HASH_BYTES = 32


def folder() -> Path | None:
    """Where the files are, made if needed; None if there is no safe place."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
        path = root / "pagerace" / "native"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except (OSError, RuntimeError):
        return None
    if os.name == "posix":
        others = stat.S_IWGRP | stat.S_IWOTH
        if status.st_uid != os.getuid() or status.st_mode & others:
            return None
    return path


def key(*parts: str) -> str:
    """A file name for content that depends on ``parts`` and nothing else."""
    digest = hashlib.sha256(_FORMAT.encode())
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest() + ".o"


def get(name: str) -> bytes | None:
    """The content of a file, or None if it is not there or not whole."""
    path = folder()
    if path is None:
        return None
    try:
        data = (path / name).read_bytes()
    except OSError:
        return None
    content = data[_HASH_BYTES:]
    if hashlib.sha256(content).digest() != data[:_HASH_BYTES]:
        with contextlib.suppress(OSError):
            (path / name).unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path / name)  # it has been used
    return content


def put(name: str, content: bytes) -> None:
    """Keep ``content``.  Another process sees all of the file or none of it."""
    path = folder()
    if path is None:
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=path, prefix="new-")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        os.replace(temporary, path / name)
        _shrink(path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _shrink(path: Path) -> None:
    """Delete the longest unused files down to three quarters, if there is too much."""
    files: list[tuple[float, int, Path]] = []
    for file in path.iterdir():
        with contextlib.suppress(OSError):
            status = file.stat()
            files.append((status.st_mtime, status.st_size, file))
    total = sum(size for _, size, _ in files)
    if total <= BYTES_MAX:
        return
    for _, size, file in sorted(files):
        if total <= BYTES_MAX * 3 // 4:
            return
        with contextlib.suppress(OSError):
            file.unlink()
            total -= size
