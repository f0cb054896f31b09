"""Our own form: what was written is read, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagerace.replay.events import Batch, Call, Event, Mapping, records_of
from pagerace.replay.parquet import MISSING, Writer
from tests.replay.traces import LACKEY, flat, read

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

NUMBERS = st.integers(0, 2**56)
ACTORS = st.integers(1, 3)
BATCHES = st.builds(
    lambda process, thread, records: Batch(process, thread, records_of(records), (1, 1)),
    ACTORS, ACTORS, st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=9),
)  # fmt: skip
CALLS = st.builds(
    Call, ACTORS, ACTORS, st.sampled_from(["mmap", "munmap"]),
    st.lists(NUMBERS, max_size=6).map(tuple), st.integers(-100, 2**56), NUMBERS, st.text(),
)  # fmt: skip
MAPPINGS = st.builds(Mapping, ACTORS, *[NUMBERS] * 5, st.text())


def written(path: Path, events: list[Event]) -> bytes:
    writer = Writer(str(path))
    for event in events:
        writer.write(event)
    writer.close()
    return path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.one_of(BATCHES, CALLS, MAPPINGS), max_size=12))
def test_what_was_written_is_read(tmp_path: Path, events: list[Event]) -> None:
    found, error = read(tmp_path / "again", written(tmp_path / "trace", events))
    assert error is None
    assert found == flat(events)


def test_a_lackey_trace_comes_back(tmp_path: Path) -> None:
    from pagerace.replay.reader import Trace

    path = tmp_path / "lackey"
    path.write_text(LACKEY)
    writer = Writer(str(tmp_path / "trace"))
    for event in Trace(str(path)).events():
        writer.write(event)
    writer.close()
    assert read(tmp_path / "again", (tmp_path / "trace").read_bytes()) == read(path, LACKEY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_damaged_file_ends_in_a_message(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(written(tmp_path / "trace", [
        Batch(1, 1, records_of([5, 6]), (1, 2)), Call(1, 1, "mmap", (1, 2), 3, 4, "path"),
        Batch(1, 2, records_of([7]), (3, 3)),
    ]))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read(tmp_path / "damaged", bytes(content))
    read(tmp_path / "cut", bytes(content[: data.draw(st.integers(0, len(content)))]))


def test_other_parquet_files_are_refused(tmp_path: Path) -> None:
    import pyarrow  # pyright: ignore
    import pyarrow.parquet  # pyright: ignore

    path = str(tmp_path / "other")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2]}), path)
    _, error = read(tmp_path / "trace", Path(path).read_bytes())
    assert error is not None
    assert error.message == "a Parquet file, but not a trace that pagerace wrote"


def test_without_pyarrow_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(tmp_path / "trace", [])

    def missing() -> object:
        raise ImportError

    monkeypatch.setattr("pagerace.replay.parquet._pyarrow", missing)
    _, error = read(tmp_path / "again", content)
    assert error is not None and error.message == MISSING
