"""Every format that replay reads, as its tool writes it, whole, cut off and damaged."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerace.replay import compiled, scanning
from pagerace.replay.events import FETCH, LOAD, MODIFY, STORE, Call, TraceError
from pagerace.replay.lines import Reader
from pagerace.replay.reader import READERS, Trace, detect
from pagerace.replay.sources import Source
from tests.replay.traces import (
    CHAMPSIM,
    ENTRIES,
    LACKEY,
    OLD_VIEW,
    PERF,
    SIMPLE,
    VIEW,
    X86,
    Record,
    drain,
    entry,
    read,
)

SAMPLES = {
    "lackey": LACKEY.encode(),
    "view": VIEW.encode(),
    "memtrace": SIMPLE.encode(),
    "perf": PERF.encode(),
    "drmemtrace": ENTRIES,
    "champsim": CHAMPSIM,
}


def test_lackey(tmp_path: Path) -> None:
    found, error = read(tmp_path / "trace", LACKEY)
    assert error is None
    assert found == [
        (1, 1, 0x401AB70, 3, FETCH),
        (1, 1, 0x1FFF000778, 8, STORE),
        (1, 1, 0x401AB73, 5, FETCH),
        Call(1, 1, "mmap", (0, 8192, 1, 2050, 4, 4096), 0x4837000, 7, "/lib/libc.so.6"),
        (1, 1, 0x4837010, 8, LOAD),
        (1, 1, 0x4033E06, 1, MODIFY),
        Call(1, 1, "munmap", (0x4837000, 8192), 0, 12),
        Call(1, 1, "mprotect", (0x4836000, 4096, 1), -12, 14),
        (1, 1, 0x400000, 64, LOAD),
        (1, 1, 0x400040, 64, LOAD),
        (1, 1, 0x400080, 64, LOAD),
        (1, 1, 0x4000C0, 8, LOAD),
    ]


def test_accesses_of_the_kernel_half_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(LACKEY)
    trace = Trace(str(path))
    drain(trace)
    assert trace.reader.outside == 1


@pytest.mark.parametrize("text", [VIEW, OLD_VIEW], ids=["new", "old"])
def test_view(text: str, tmp_path: Path) -> None:
    found, error = read(tmp_path / "trace", text)
    assert error is None
    assert found == (
        [
            (1, 2765543, 0x404A78, 6, FETCH),
            (1, 2765543, 0x404A7E, 10, FETCH),
            (1, 2765543, 0x7FDF64E2ADC8, 8, LOAD),
            (1, 2765542, 0x7FDF64E2ADD0, 4, STORE),
        ]
        if text == VIEW
        else [(1, 1774669, 0x402680, 3, FETCH), (1, 1774669, 0x7F8881E37C70, 8, LOAD)]
    )


@pytest.mark.parametrize("text", [SIMPLE, X86], ids=["simple", "x86"])
def test_memtrace(text: str, tmp_path: Path) -> None:
    found, error = read(tmp_path / "trace", text)
    fetch: list[Record] = [(1, 1, 0x404A78, 6, FETCH)] if text == SIMPLE else []
    assert error is None
    assert found == [
        *fetch, (1, 1, 0x7FDF64E2ADC8, 8, LOAD), (1, 1, 0x7FDF64E2ADD0, 4, STORE)
    ]  # fmt: skip


def test_perf(tmp_path: Path) -> None:
    found, error = read(tmp_path / "trace", PERF)
    assert error is None
    assert found == [
        (29833, 29833, 0x40AB70, 1, FETCH),
        (7, 29, 0x463E06, 1, STORE),
        (7, 29, 0x462A80, 1, LOAD),
    ]


def test_drmemtrace(tmp_path: Path) -> None:
    found, error = read(tmp_path / "trace", ENTRIES)
    assert error is None
    assert found == [
        (400, 500, 0x402680, 3, FETCH),
        (400, 500, 0x7F8881E37C70, 8, LOAD),
        (400, 500, 0x7F8881E37A70, 8, STORE),
        (400, 500, 0x402683, 2, FETCH),
        (400, 500, 0x402685, 4, FETCH),
        (400, 500, 0x402689, 5, FETCH),
        (400, 501, 0x7F8881E37FF0, 64, LOAD),
        (400, 501, 0x7F8881E38030, 36, LOAD),
    ]


def test_champsim(tmp_path: Path) -> None:
    found, error = read(tmp_path / "trace", CHAMPSIM)
    assert error is None
    assert found == [
        (1, 1, 0x402680, 1, FETCH),
        (1, 1, 0x6F00, 1, LOAD),
        (1, 1, 0x6F08, 1, LOAD),
        (1, 1, 0x7F00, 1, STORE),
        (1, 1, 0x402684, 1, FETCH),
    ]


@pytest.mark.parametrize("format", list(SAMPLES))
def test_every_format_is_detected(format: str) -> None:
    assert detect(SAMPLES[format], "trace") == format


def zipped(content: bytes) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chunk.0000", content[:60])
        archive.writestr("chunk.0001", content[60:])
    return memory.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "two gzip streams": lambda c: gzip.compress(c[:60]) + gzip.compress(c[60:]) + bytes(8),
    "two xz streams": lambda c: lzma.compress(c[:60]) + bytes(4) + lzma.compress(c[60:]),
    "zip": zipped,
}


@pytest.mark.parametrize("packed", list(PACKED))
@pytest.mark.parametrize("format", ["lackey", "drmemtrace"])
def test_compressed(format: str, packed: str, tmp_path: Path) -> None:
    plain = read(tmp_path / "plain", SAMPLES[format])
    assert read(tmp_path / "packed", PACKED[packed](SAMPLES[format])) == plain
    assert plain[0]


@pytest.mark.parametrize("packed", ["gzip", "xz"])
def test_compressed_data_that_end_too_early_give_what_is_there(
    packed: str, tmp_path: Path
) -> None:
    lines = "".join(f" L {at * 7919 % 100003:08x},8\n" for at in range(20_000))
    data = PACKED[packed](lines.encode())
    found, error = read(tmp_path / "trace", data[: len(data) * 3 // 4])
    assert 5_000 < len(found) < 20_000
    assert error is not None and "the compressed data end too early" in error.message
    assert error.line == len(found)


class Pieces(Source):
    """A source whose bytes come in given pieces."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self.name, self.line, self.size, self.taken = "pieces", 0, 0, 0
        self.content, self.sizes = content, sizes

    def read(self, most: int) -> bytes:
        size = min(most, self.sizes.pop(0) if self.sizes else most)
        data, self.content = self.content[:size], self.content[size:]
        return data


def reader(format: str, content: bytes, sizes: list[int]) -> Reader:
    return READERS[format](Pieces(content, sizes), b"", 1)


@pytest.mark.parametrize("format", list(SAMPLES))
@given(st.lists(st.integers(1, 200), max_size=40))
def test_any_split_into_pieces_gives_the_same(format: str, sizes: list[int]) -> None:
    cut = SAMPLES[format] + b"cut off"  # the error has to be the same, too
    whole, error = drain(reader(format, cut, []))
    found, found_error = drain(reader(format, cut, sizes))
    assert found == whole
    assert str(found_error) == str(error)
    assert whole and error


ADDRESSES = st.one_of(st.integers(0, 2**20), st.integers(0, 2**64 - 1))
ACCESSES = st.lists(st.tuples(st.sampled_from("ILSM"), ADDRESSES, st.integers(1, 3000)))


def lackey_line(kind: str, address: int, size: int) -> str:
    return f"I  {address:08x},{size}\n" if kind == "I" else f" {kind} {address:08x},{size}\n"


@given(ACCESSES, st.lists(st.integers(1, 99), max_size=9))
def test_lackey_lines_of_any_numbers(
    accesses: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    text = "".join(lackey_line(*access) for access in accesses)
    found, error = drain(reader("lackey", text.encode(), sizes))
    assert error is None
    expected: list[Record] = []
    for kind, address, size in accesses:
        while size > 0 and address < 1 << 56:
            expected.append((1, 1, address % (1 << 56), min(size, 64), "ILSM".index(kind)))
            address, size = address + 64, size - 64
    assert found == expected


def without_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagerace.replay.compiled.native_functions", lambda: None)


@pytest.mark.parametrize("format", ["lackey", "drmemtrace", "champsim"])
def test_python_scans_as_native_code_does(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = drain(reader(format, SAMPLES[format], [50, 3]))
    assert compiled.native_functions() is not None
    without_llvm(monkeypatch)
    assert drain(reader(format, SAMPLES[format], [50, 3])) == native


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_traces_end_in_a_message(format: str, data: st.DataObject) -> None:
    content = bytearray(SAMPLES[format])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    drain(reader(format, bytes(content[:cut]), [7]))


@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=300))
def test_garbage_ends_in_a_message(format: str, garbage: bytes) -> None:
    drain(reader(format, garbage, [11]))
    try:
        detect(garbage, "garbage")
    except TraceError as error:
        assert error.message


BEGINNINGS = [b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"\xfd7zXZ\x00", b"PK\x03\x04", b"PAR1", b""]


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=200))
def test_garbage_behind_any_magic_ends_in_a_message(
    tmp_path_factory: pytest.TempPathFactory, magic: bytes, garbage: bytes
) -> None:
    read(tmp_path_factory.getbasetemp() / "garbage", magic + garbage)


WRONG = {
    "a wrong line": b"I  0401ab70,3\nI  0401ab7g,3\n",
    "no size": b"I  0401ab70,3\n L 0401ab7,\n",
    "size 0": b"I  0401ab70,3\n L 0401ab7,0\n",
    "a size that is no access": b"I  0401ab70,3\n L 0401ab7,65537\n",
    "an address of 17 digits": b"I  0401ab70,3\n L 10000000000000000,1\n",
    "cut off": b"I  0401ab70,3\n L 0401ab7",
    "program's output": b"I  0401ab70,3\ntotal 24\n",
    "a broken call": b"I  0401ab70,3\nSYSCALL[77,1](9) sys_mmap ( x ) --> [] Success(0x4)\n",
    "an endless line": b"I  0401ab70,3\n" + b"x" * 70_000,
    "view: a broken access": VIEW.encode() + b"  9 9: 27 read  8 byte(s) @ 0xno\n",
    "view: a line": OLD_VIEW.encode() + b"Segmentation fault\n",
    "memtrace": SIMPLE.encode() + b"0xno: 8, r\n",
    "memtrace: a size": SIMPLE.encode() + b"0x1: 99999999, r\n",
    "perf": PERF.encode() + b"ls 1 [001] 2.3: exceptions:page_fault_user: address=main\n",
    "perf: a line": PERF.encode() + b"Segmentation fault\n",
    "drmemtrace: a type": ENTRIES + entry(77, 8, 1),
    "drmemtrace: cut off": ENTRIES[:-5],
    "champsim: a flag": CHAMPSIM * 40 + b"\7" * 64,
    "champsim: cut off": CHAMPSIM[:-5],
    "empty": b"",
    "blank": b"\n\n",
    "unknown": b"hello, world\nof traces\n",
    "binary": bytes(range(256)),
    "perf.data": b"PERFILE2 and more",
    "zstd": b"\x28\xb5\x2f\xfd and more",
    "a program": b"\x7fELF and more",
    "damaged gzip": gzip.compress(LACKEY.encode())[:40] + b"\xff" * 40,
    "damaged xz": lzma.compress(LACKEY.encode())[:40] + b"\xff" * 40,
    "damaged zip": b"PK\x03\x04 and more",
}


def test_what_is_said_of_wrong_traces(tmp_path: Path, snapshot: object) -> None:
    said: dict[str, tuple[str, str]] = {}
    for name, content in WRONG.items():
        _, error = read(tmp_path / "trace", content)
        assert error is not None, name
        said[name] = str(error).replace(f"{tmp_path}/", ""), error.help
    assert said == snapshot


@pytest.mark.parametrize("name", ["a wrong line", "cut off", "program's output", "no size"])
def test_what_was_read_before_is_there(name: str, tmp_path: Path) -> None:
    found, error = read(tmp_path / "trace", WRONG[name])
    assert found == [(1, 1, 0x401AB70, 3, FETCH)]
    assert error is not None and error.line == 2


def test_a_batch_that_is_full_is_handed_out() -> None:
    text = b"".join(b" L %08x,200\n" % (at * 64) for at in range(10))
    small = READERS["lackey"](Pieces(text, []), b"", 1, 9)  # pyright: ignore[reportCallIssue]
    assert [len(batch.records) for batch in small.events()] == [8, 8, 8, 8, 8]


def test_the_words_of_control_do_not_overlap() -> None:
    names = ("FILL", "ROOM", "LINES", "OUTSIDE", "REASON", "VALUE")
    assert len({getattr(scanning, name) for name in names}) == len(names)
