"""The bytes of a trace: from a file or a pipe, as they are or compressed."""

from __future__ import annotations

import lzma
import os
import stat
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pagerace.replay.events import TraceError

READ = 1 << 18  # bytes asked of a file at once
STANDARD_INPUT = "-"

GZIP, XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
# Kinds of files that people may take for a trace, and what to do with them.
STRANGERS = {
    b"\x28\xb5\x2f\xfd": ("it is compressed with zstd", "zstd -dc FILE | pagerace replay -"),
    b"BZh": ("it is compressed with bzip2", "bzip2 -dc FILE | pagerace replay -"),
    b"PERFILE2": (
        "it is perf's own file",
        "perf script -F comm,pid,tid,time,event,trace | pagerace replay -",
    ),
    b"\x7fELF": ("it is a program, not a trace", "valgrind --tool=lackey traces a program"),
}


class Source:
    """A trace's bytes without their compression.  Raises TraceError, and OSError from open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = "stdin" if path == STANDARD_INPUT else path
        self.line = 0  # which the reader has reached, for messages about the bytes
        self.taken = 0  # bytes of the file itself that were read
        self.size = 0  # of the file itself; 0 where it is not known
        self._file = self._open()
        self._ahead = b""
        self._decompress: _Decompress | None = None
        self._unzipped: _Members | None = None
        self._begin()

    def _open(self) -> IO[bytes]:
        if self.path == STANDARD_INPUT:
            if sys.stdin is None or sys.stdin.closed:
                raise TraceError(self.name, 0, "it is closed")
            file: IO[bytes] = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
        else:
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            self.size = status.st_size
        return file

    def _begin(self) -> None:
        """Look at the first bytes: is it compressed, and how?"""
        while len(self._ahead) < 8 and (more := self._raw()):
            self._ahead += more
        for magic, (what, help) in STRANGERS.items():
            if self._ahead.startswith(magic):
                raise TraceError(self.name, 0, what, help)
        if self._ahead.startswith(GZIP):
            self._decompress = _Decompress(_inflate, GZIP)
        elif self._ahead.startswith(XZ):
            self._decompress = _Decompress(_unxz, XZ)
        elif self._ahead.startswith(b"PK\x03\x04"):
            if not self.size:
                raise TraceError(self.name, 0, "a zip archive cannot be read from a pipe")
            self._unzipped = _Members(self.path, self.name)

    def _raw(self) -> bytes:
        try:
            data = self._file.read(READ) or b""
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            raise TraceError(self.name, self.line, message) from None
        self.taken += len(data)
        return data

    def read(self, most: int) -> bytes:
        """The next bytes, ``most`` or fewer; none at the end."""
        if self._unzipped is not None:
            data = self._unzipped.read(most, self.line)
            self.taken = self._unzipped.taken
            return data
        if self._decompress is None:
            ahead, self._ahead = self._ahead, b""
            if not ahead:
                ahead = self._raw()
            self._ahead = ahead[most:]
            return ahead[:most]
        while True:
            try:
                data = self._decompress(self._ahead, most)
            except (zlib.error, lzma.LZMAError) as error:
                message = f"the compressed data are damaged: {error}"
                raise TraceError(self.name, self.line, message) from None
            self._ahead = b""
            if data:
                return data
            if not self._decompress.needs_input:
                continue
            self._ahead = self._raw()
            if not self._ahead:
                if self._decompress.inside:
                    raise TraceError(self.name, self.line, "the compressed data end too early")
                return b""

    def close(self) -> None:
        """Close the file; standard input itself stays open."""
        self._file.close()


class _Inflate:
    """zlib's decompressor in the form that lzma's has."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)
        self._tail = b""

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        result = self._object.decompress(self._tail + data, max_length)
        self._tail = self._object.unconsumed_tail
        return result

    @property
    def needs_input(self) -> bool:
        return not self._tail

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data


def _inflate() -> Any:
    return _Inflate()


def _unxz() -> Any:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ)


class _Decompress:
    """One or more compressed streams, one after another; zeros may pad between them."""

    def __init__(self, make: Callable[[], Any], magic: bytes) -> None:
        self._make, self._magic = make, magic
        self._stream = make()
        self.inside = True  # of a stream
        self._rest = b""

    @property
    def needs_input(self) -> bool:
        """Would another call without data give nothing?"""
        return not self._rest and (not self.inside or bool(self._stream.needs_input))

    def __call__(self, data: bytes, most: int) -> bytes:
        if not self.inside:
            data = (self._rest + data).lstrip(b"\0")
            self._rest = b""
            if not data:
                return b""
            self._stream, self.inside = self._make(), True
        result = self._stream.decompress(data, most)
        if self._stream.eof:
            self.inside, self._rest = False, self._stream.unused_data.lstrip(b"\0")
        return bytes(result)


class _Members:
    """The members of a zip archive, one after another, as DynamoRIO writes its traces."""

    def __init__(self, path: str, name: str) -> None:
        import zipfile

        self._name = name
        self._wrong = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
        self.taken = 0
        try:
            self._archive = zipfile.ZipFile(Path(path))
        except self._wrong as error:
            raise TraceError(name, 0, f"the archive is damaged: {error}") from None
        self._left = list(self._archive.infolist())
        self._member: IO[bytes] | None = None

    def read(self, most: int, line: int) -> bytes:
        try:
            while self._member is not None or self._left:
                if self._member is None:
                    self.taken += self._left[0].compress_size
                    self._member = self._archive.open(self._left.pop(0))
                if data := self._member.read(most):
                    return data
                self._member = None
        except (*self._wrong, RuntimeError) as error:
            raise TraceError(self._name, line, f"the archive is damaged: {error}") from None
        return b""
