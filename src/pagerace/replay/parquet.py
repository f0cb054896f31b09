"""Our own form of a trace: its records as a column of Parquet, at a byte each or so.

``record`` is what ``events`` packs, ``stream`` counts the pairs of process and thread.  Those
pairs, and what is no access, stand in the file's metadata under ``pagerace``, as JSON:

    {"schema": "pagerace-trace/1", "streams": [[process, thread], ...],
     "events": [[row, "call" or "mapping", {...}], ...]}

where ``row`` is the number of records in front of the event.  pyarrow is the one package
that hands such a column over as memory, without a Python object for each record, and
without numpy; DuckDB does it through pyarrow or numpy only.  Any tool can read the columns.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Iterator
from typing import Any, Final

from pagerace.replay.events import BATCH, Batch, Call, Event, Mapping, TraceError
from pagerace.replay.lines import Reader
from pagerace.replay.sources import READ

MAGIC: Final = b"PAR1"
SCHEMA: Final = "pagerace-trace/1"
KEY: Final = "pagerace"
ROWS: Final = 1 << 20  # records in a row group
MISSING: Final = "Parquet needs pyarrow, which is not installed"
HELP: Final = "pip install 'pagerace[replay]'"

_EVENTS: Final[dict[str, type[Call] | type[Mapping]]] = {"call": Call, "mapping": Mapping}


def _pyarrow() -> tuple[Any, Any]:
    """pyarrow and its parquet module.  Raises ImportError."""
    return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")


class Parquet(Reader):
    """Reads what ``Writer`` wrote; from a pipe it is read whole first."""

    def events(self) -> Iterator[Event]:
        try:
            arrow, parquet = _pyarrow()
        except ImportError:
            raise TraceError(self.source.name, 0, MISSING, HELP) from None
        data = [self.head]
        while more := self.source.read(READ):
            data.append(more)
        try:
            file = parquet.ParquetFile(arrow.py_buffer(b"".join(data)))
            streams, events = self._metadata(file.schema_arrow, file.metadata.metadata or {})
            batches = file.iter_batches(BATCH, columns=["record", "stream"])
            yield from self._events(arrow, batches, streams, events)
        except (arrow.ArrowException, OSError, ValueError, KeyError) as error:
            line = str(error).strip().partition("\n")[0]
            raise self.wrong(f"the Parquet file is damaged: {line[:100]}") from None

    def _metadata(
        self, schema: Any, metadata: dict[bytes, bytes]
    ) -> tuple[list[tuple[int, int]], list[tuple[int, Call | Mapping]]]:
        """The streams, and the events with their rows; the last one is behind all rows."""
        types = {field.name: str(field.type) for field in schema}
        if types != {"record": "uint64", "stream": "uint32"} or KEY.encode() not in metadata:
            raise TraceError(
                self.source.name, 0, "a Parquet file, but not a trace that pagerace wrote",
                "pagerace replay TRACE --save FILE.parquet",
            )  # fmt: skip
        try:
            document = json.loads(metadata[KEY.encode()])
            assert document["schema"] == SCHEMA
            streams = [(int(process), int(thread)) for process, thread in document["streams"]]
            events = [(int(row), _event(kind, of)) for row, kind, of in document["events"]]
        except (AssertionError, ValueError, KeyError, TypeError, RecursionError):
            raise self.wrong("the metadata of the Parquet file are damaged") from None
        return streams, events

    def _events(
        self,
        arrow: Any,
        batches: Any,
        streams: list[tuple[int, int]],
        events: list[tuple[int, Call | Mapping]],
    ) -> Iterator[Event]:
        compute = importlib.import_module("pyarrow.compute")
        waiting = list(reversed(events))
        for batch in batches:
            records = _memory(arrow, batch.column(0))
            runs = compute.run_end_encode(batch.column(1))
            before = self.line
            start = 0
            for end, stream in zip(
                runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True
            ):
                if stream is None or stream >= len(streams):
                    raise self.wrong("the streams of the Parquet file are damaged")
                process, thread = streams[stream]
                while start < end:
                    while waiting and waiting[-1][0] <= before + start:
                        yield waiting.pop()[1]
                    until = min(end, waiting[-1][0] - before) if waiting else end
                    self.line = before + until
                    lines = before + start + 1, self.line
                    yield Batch(process, thread, records[start:until], lines)
                    start = until
        yield from (event for _, event in reversed(waiting))


def _memory(arrow: Any, column: Any) -> memoryview:
    """A column of uint64 as memory, which it keeps."""
    if column.null_count:
        raise ValueError("a record is missing")
    buffer = column.buffers()[1]
    if buffer is None:
        return memoryview(b"").cast("Q")
    whole = memoryview(buffer).cast("B").cast("Q")
    return whole[column.offset : column.offset + len(column)]


def _event(kind: str, of: dict[str, Any]) -> Call | Mapping:
    """An event of the metadata.  Raises KeyError, TypeError and ValueError."""
    known = _EVENTS[kind]
    for field in dataclasses.fields(known):
        value = of[field.name]
        wanted = {"str": str, "int": int}.get(str(field.type), list)
        if not isinstance(value, wanted):
            raise TypeError(field.name)
    if kind == "call":
        of = of | {"arguments": tuple(int(value) for value in of["arguments"])}
    return known(**of)


class Writer:
    """Writes a trace as it is read.  Raises TraceError where there is no pyarrow, OSError."""

    def __init__(self, path: str) -> None:
        try:
            self._arrow, self._parquet = _pyarrow()
        except ImportError:
            raise TraceError(path, 0, MISSING, HELP) from None
        arrow = self._arrow
        self._schema = arrow.schema([("record", arrow.uint64()), ("stream", arrow.uint32())])
        self._file = self._parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows = 0
        self._waiting: list[Any] = []
        self._streams: dict[tuple[int, int], int] = {}
        self._events: list[tuple[int, str, dict[str, Any]]] = []

    def write(self, event: Event) -> None:
        """Add an event behind the others."""
        if not isinstance(event, Batch):
            kind = "call" if isinstance(event, Call) else "mapping"
            self._events.append((self._rows, kind, dataclasses.asdict(event)))
            return
        arrow = self._arrow
        count = len(event.records)
        actor = event.process, event.thread
        number = self._streams.setdefault(actor, len(self._streams))
        records = arrow.py_buffer(event.records.tobytes())
        self._waiting.append(arrow.record_batch([
            arrow.Array.from_buffers(arrow.uint64(), count, [None, records]),
            arrow.repeat(arrow.scalar(number, arrow.uint32()), count),
        ], schema=self._schema))  # fmt: skip
        self._rows += count
        if sum(batch.num_rows for batch in self._waiting) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(self._arrow.Table.from_batches(self._waiting))
            self._waiting.clear()

    def close(self) -> None:
        """Complete the file."""
        self._flush()
        document = {
            "schema": SCHEMA, "streams": list(self._streams), "events": self._events
        }  # fmt: skip
        self._file.add_key_value_metadata({KEY: json.dumps(document)})
        self._file.close()
