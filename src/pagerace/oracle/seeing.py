"""What /proc tells of a subject: pagemap, smaps, kpageflags, kpagecount, stat.

Documentation/admin-guide/mm/pagemap.rst and filesystems/proc.rst describe the formats.  All
of this is read from outside and changes nothing; only contents are read by the subject.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from pagerace.oracle import image
from pagerace.oracle.constants import PM_FILE, PM_MMAP_EXCLUSIVE, PM_PRESENT, PM_SWAP
from pagerace.oracle.program import PAGE, WINDOW_START, Page, Space, VmArea, alike
from pagerace.oracle.subject import Fault, Subject

# All that matters of an entry of pagemap is in its uppermost byte, but the frame.
_PRESENT, _SWAP, _FILE, _EXCLUSIVE = 0x80, 0x40, 0x20, 0x01
_SEEN = re.compile(rb"[\x40-\xff]")
_BITS = tuple(
    (PM_PRESENT if byte & _PRESENT else 0) | (PM_SWAP if byte & _SWAP else 0)
    | (PM_FILE if byte & _FILE else 0) | (PM_MMAP_EXCLUSIVE if byte & _EXCLUSIVE else 0)
    for byte in range(256)
)  # fmt: skip
_FRAME = (1 << 55) - 1
_CACHED_MAX = 20_000
_NO_PAGES: dict[int, Page] = {}

PRIVATE_ANON, SHARED_ANON = -1, -2


class Frames:
    """/proc/kpagecount and /proc/kpageflags, of root.  Raises OSError."""

    def __init__(self) -> None:
        self._count = os.open("/proc/kpagecount", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._flags = os.open("/proc/kpageflags", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._count)
            raise

    def look(self, frames: Sequence[int]) -> Iterator[tuple[int, int]]:
        """How often each frame is mapped, and its flags; those in a row are read at once."""
        first = 0
        while first < len(frames):
            start, size = frames[first], 1
            while first + size < len(frames) and frames[first + size] == start + size:
                size += 1
            counts = memoryview(os.pread(self._count, 8 * size, start * 8)).cast("Q")
            flags = memoryview(os.pread(self._flags, 8 * size, start * 8)).cast("Q")
            yield from zip(counts, flags, strict=True)
            first += size

    def close(self) -> None:
        os.close(self._count)
        os.close(self._flags)


class Areas:
    """Mappings of the window, from smaps.  Most of its text is the same call after call."""

    def __init__(self) -> None:
        self._bodies: dict[bytes, tuple[Mapping[str, int], tuple[str, ...]]] = {}
        self._areas: dict[bytes, VmArea] = {}
        self.files: Mapping[int, int] = {}

    def begin(self, files: Mapping[int, int]) -> None:
        """For the next program: inode -> number of the file."""
        self.files = files
        self._areas.clear()
        if len(self._bodies) > _CACHED_MAX:
            self._bodies.clear()

    def parse(self, text: bytes, window: int) -> tuple[VmArea, ...]:
        """The mappings of the window, in order; ``text`` may go on behind it."""
        found: list[VmArea] = []
        at, last = 0, WINDOW_START + window
        while at < len(text):
            body = text.index(b"\n", at) + 1
            end = text.index(b"\n", text.index(b"VmFlags:", body)) + 1
            section = text[at:end]
            area = self._areas.get(section)
            if area is None:
                area = self._area(text[at : body - 1], text[body:end])
                self._areas[section] = area
            at = end
            if area.start + WINDOW_START >= last:
                break
            if area.end > 0:
                found.append(area)
        return tuple(found)

    def _area(self, header: bytes, body: bytes) -> VmArea:
        addresses, perms, offset, _device, inode, *_ = header.split(None, 5)
        start, end = (int(address, 16) // PAGE for address in addresses.split(b"-"))
        if body not in self._bodies:
            self._bodies[body] = _body(body)
        sizes, flags = self._bodies[body]
        file = PRIVATE_ANON
        if number := int(inode):
            file = self.files.get(number, SHARED_ANON)
        return VmArea(
            start - WINDOW_START, end - WINDOW_START, perms.decode(), int(offset, 16) // PAGE,
            file, sizes, flags,
        )  # fmt: skip


def _body(body: bytes) -> tuple[Mapping[str, int], tuple[str, ...]]:
    sizes: dict[str, int] = {}
    flags: tuple[str, ...] = ()
    for line in body.decode().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            sizes[name] = int(value[:-3])
        elif name == "VmFlags":
            flags = tuple(value.split())
    return sizes, flags


class Watcher:
    """Looks at one subject.  Close it when the subject is gone."""

    def __init__(self, subject: Subject, process: int, window: int, areas: Areas,
                 frames: Frames | None, *, smaps: bool, pagemap: bool) -> None:  # fmt: skip
        self.subject = subject
        self.process = process
        self.window = window
        self._areas = areas
        self._frames = frames
        self._files: list[int] = []
        try:
            self._stat = self._open("stat")
            self._smaps = self._open("smaps") if smaps else -1
            self._pagemap = self._open("pagemap") if pagemap else -1
            self.minor, self.major = self.faults()
        except OSError:
            self.close()  # it was killed just now
            raise
        self._last: tuple[bytes, Sequence[int], dict[int, Page]] = (b"", (), _NO_PAGES)

    def _open(self, name: str) -> int:
        path = f"/proc/{self.subject.pid}/{name}"
        self._files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return self._files[-1]

    def close(self) -> None:
        for file in self._files:
            os.close(file)
        self._files = []

    def faults(self) -> tuple[int, int]:
        """Minor and major faults of its whole life."""
        words = os.pread(self._stat, 1024, 0).rpartition(b")")[2].split(None, 10)
        return int(words[7]), int(words[9])

    def new_faults(self) -> tuple[int, int]:
        """Minor and major faults since the last time."""
        was_minor, was_major = self.minor, self.major
        self.minor, self.major = self.faults()
        return self.minor - was_minor, self.major - was_major

    def look(self) -> Space:
        """All that can be seen of it now."""
        mappings = pages = None
        if self._smaps >= 0:
            mappings = self._areas.parse(self._read_smaps(), self.window)
        if self._pagemap >= 0:
            raw = os.pread(self._pagemap, self.window * 8, WINDOW_START * 8)
            pages = self._pages(raw, mappings or ())
        return Space(self.process, pages, mappings)

    def _read_smaps(self) -> bytes:
        text = os.pread(self._smaps, 1 << 16, 0)
        parts = [text]
        size = len(text)
        # A read gives a few mappings.  The code of a subject lies behind the window.
        while text and f"\n{image.TEXT:x}-".encode() not in b"\n" + text:
            text = os.pread(self._smaps, 1 << 16, size)
            parts.append(text)
            size += len(text)
        return b"".join(parts)

    def _pages(self, raw: bytes, mappings: tuple[VmArea, ...]) -> dict[int, Page]:
        tops = raw[7::8]
        seen = [match.start() for match in _SEEN.finditer(tops)]
        if not seen:
            return _NO_PAGES
        readable = bytearray(self.window)
        for area in mappings:
            if area.perms[0] == "r":
                first, end = max(area.start, 0), min(area.end, self.window)
                readable[first:end] = b"\1" * (end - first)
        wanted = [page for page in seen if readable[page] and tops[page] & _PRESENT]
        contents = self._contents(wanted)
        last_raw, last_contents, last = self._last
        if raw == last_raw and contents == last_contents and self._frames is None:
            return last
        known = dict(zip(wanted, contents, strict=True))
        words = memoryview(raw).cast("Q")
        pages = {page: alike(_BITS[tops[page]], known.get(page)) for page in seen}
        if self._frames is not None:
            present = [page for page in seen if tops[page] & _PRESENT]
            looked = self._frames.look([words[page] & _FRAME for page in present])
            for page, (count, flags) in zip(present, looked, strict=True):
                bits, content, *_ = pages[page]
                pages[page] = alike(bits, content, count, flags)
        self._last = (raw, contents, pages)
        return pages

    def _contents(self, pages: Sequence[int]) -> list[int]:
        """The first eight bytes of pages that are present and readable, read by itself."""
        if not pages:
            return []
        words = self.subject.nursery.scratch.words
        count = len(pages)
        for number, page in enumerate(pages):
            words[number] = (WINDOW_START + page) * PAGE
        result = self.subject.gather(count)
        if isinstance(result, Fault):
            # Never met: what is present and readable does not fault.
            raise AssertionError(f"page {result.address // PAGE - WINDOW_START} faulted")
        return words[:count].tolist()
