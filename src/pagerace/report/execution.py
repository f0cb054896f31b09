"""An execution as data: one interleaving, step by step, with every value it touched.

This is the one document from which diagrams, comments and all other formats are made.
``to_json`` and ``from_json`` write and read it; ``SCHEMA`` changes when a reader of the
old form would misunderstand the new one.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

SCHEMA = "pagerace-execution/1"

T = TypeVar("T")

EVENT_KINDS = (
    "load",
    "store",
    "check",
    "wait",
    "choose",
    "trace",
    "call",
    "return",
    "fence",
    "lock",
)


class DocumentError(ValueError):
    """A document is not an execution; the message names the key that is wrong."""


@dataclass(frozen=True)
class Frame:
    """A call that is in progress: ``function`` is at ``line``, where it calls the next."""

    function: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Where:
    """A place in the source.  ``stack`` is the calls that led there, outermost first.

    ``function`` is not in ``stack``.  Lines count from 1, columns from 0.
    """

    file: str
    line: int
    column: int = 0
    end_column: int = 0
    function: str = ""
    stack: list[Frame] = field(default_factory=list[Frame])


@dataclass(frozen=True)
class Event:
    """One thing that happened within a step.

    ``old`` and ``new`` are values as displayed; a load has the value in both, a return
    has it in ``new``.  ``text`` is the note of a trace, the call as displayed, or why a
    check failed.  ``shared``: another CPU could see the access.
    """

    kind: str
    where: Where
    object: str = ""
    old: str = ""
    new: str = ""
    text: str = ""
    shared: bool = True


@dataclass(frozen=True)
class Step:
    """One step of one process; ``choices`` are the answers to ``choose`` in it."""

    process: int
    choices: list[int] = field(default_factory=list[int])
    events: list[Event] = field(default_factory=list[Event])


@dataclass(frozen=True)
class Process:
    """A thread or agent; ``label`` is what a schedule calls it: ``1`` or ``1.tlb_evict``."""

    index: int
    name: str
    label: str
    cpu: int
    agent: bool = False


@dataclass(frozen=True)
class Claim:
    """The protocol that was checked.  ``expect`` is "" for HOLDS, else what is violated."""

    name: str
    file: str
    line: int = 0
    title: str = ""
    kernel: str = ""
    commit: str = ""
    expect: str = ""


@dataclass(frozen=True)
class RacingAccess:
    """One of the two accesses of a data race.  ``plain``: not marked, not hardware's."""

    process: int
    write: bool
    plain: bool
    where: Where


@dataclass(frozen=True)
class Race:
    """A data race: ``object`` changes from ``old`` to ``new``, values as displayed."""

    object: str
    old: str
    new: str
    accesses: list[RacingAccess]


@dataclass(frozen=True)
class Violation:
    """What went wrong.  ``functions`` are the racing functions, that of the end first.

    ``watched`` are the objects that the violated property reads at the end, or in a
    deadlock those that the threads wait for.  ``races`` are the data races that were
    found, the one that is shown first.
    """

    slug: str
    property: str = ""
    text: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    functions: list[str] = field(default_factory=list[str])
    watched: list[str] = field(default_factory=list[str])
    races: list[Race] = field(default_factory=list[Race])


@dataclass(frozen=True)
class Search:
    """How much was searched until the execution was found.  ``seconds`` is wall time.

    ``shortest``: no execution that violates anything has fewer steps.
    """

    states: int = 0
    seen: int = 0
    depth: int = 0
    seconds: float = 0.0
    shortest: bool = True


@dataclass(frozen=True)
class Execution:
    """One interleaving.  ``why`` holds up to two sentences; ``bounds`` is as printed."""

    protocol: Claim
    verdict: str
    processes: list[Process]
    steps: list[Step]
    violation: Violation | None = None
    schedule: str = ""
    switches: int = 0
    why: list[str] = field(default_factory=list[str])
    bounds: dict[str, str] = field(default_factory=dict[str, str])
    search: Search = field(default_factory=Search)
    reproduce: str = ""
    tool: str = ""
    schema: str = SCHEMA

    def to_json(self, indent: int | None = 1) -> str:
        """The document as JSON text, which ``from_json`` reads back."""
        return json.dumps(self.to_document(), indent=indent, ensure_ascii=False)

    def to_document(self) -> dict[str, Any]:
        """The document as plain dictionaries and lists, what identifies it first."""
        document = asdict(self)
        first = ("schema", "tool", "protocol", "verdict", "violation", "schedule")
        return {key: document[key] for key in first} | document

    @staticmethod
    def from_json(text: str) -> Execution:
        """Read a document.  Raises DocumentError, which names what is wrong."""
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise DocumentError(
                f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
                + (" (is the file cut off?)" if _is_cut_off(text, error) else "")
            ) from None
        return Execution.from_document(document)

    @staticmethod
    def from_document(document: Any) -> Execution:
        """Read what ``to_document`` made.  Raises DocumentError, which names the key."""
        if not isinstance(document, dict):
            raise DocumentError(f"expected an object, found {_named(document)}")
        schema = typing.cast("dict[str, Any]", document).get("schema")
        if schema != SCHEMA:
            found = "no key 'schema'" if schema is None else f"schema is {schema!r}"
            raise DocumentError(f"{found}; this version reads {SCHEMA!r}")
        execution = _read(Execution, document, "")
        _check_numbers(execution)
        return execution


def _is_cut_off(text: str, error: json.JSONDecodeError) -> bool:
    """Does the text end where more is needed?"""
    return error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip())


def _named(value: Any) -> str:
    """The JSON type of a value, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")


def _read(expected: Any, value: Any, key: str) -> Any:
    """``value`` as the type ``expected``; ``key`` is its path, for the message."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin is types.UnionType:
        return None if value is None else _read(arguments[0], value, key)
    if origin is list:
        _require(list, value, key)
        return [_read(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value)]
    if origin is dict:
        _require(dict, value, key)
        return {k: _read(arguments[1], item, f"{key}.{k}") for k, item in value.items()}
    if is_dataclass(expected):
        return _read_object(typing.cast("type[Any]", expected), value, key)
    if expected is float and type(value) is int:
        return float(value)
    _require(expected, value, key)
    return value


def _read_object(cls: type[T], value: Any, key: str) -> T:
    """An instance of the dataclass.  Keys it does not know are left for later versions."""
    _require(dict, value, key)
    hints = typing.get_type_hints(cls)
    parts: dict[str, Any] = {}
    for part in fields(typing.cast("Any", cls)):
        if part.name not in value:
            raise DocumentError(f"key '{_join(key, part.name)}' is missing")
        parts[part.name] = _read(hints[part.name], value[part.name], _join(key, part.name))
    return cls(**parts)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _require(expected: type, value: Any, key: str) -> None:
    if type(value) is not expected:
        examples = {dict: {}, list: [], str: "", bool: True}
        wanted = _named(examples.get(expected, 0))
        raise DocumentError(f"key '{key}': expected {wanted}, found {_named(value)}")


def _check_numbers(execution: Execution) -> None:
    """Refuse what would only fail later: a step of a process that does not exist."""
    count = len(execution.processes)
    for i, step in enumerate(execution.steps):
        if not 0 <= step.process < count:
            raise DocumentError(
                f"key 'steps[{i}].process': {step.process} of {count} processes"
            )
        for j, event in enumerate(step.events):
            if event.kind not in EVENT_KINDS:
                raise DocumentError(
                    f"key 'steps[{i}].events[{j}].kind': {event.kind!r} is none of "
                    + ", ".join(EVENT_KINDS)
                )
    for i, process in enumerate(execution.processes):
        if process.index != i:
            raise DocumentError(f"key 'processes[{i}].index': expected {i}")
