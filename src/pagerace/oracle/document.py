"""Programs and observations as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from pagerace.oracle.program import (
    CALLS,
    MINCORE_MAX,
    Call,
    File,
    Mincore,
    Observation,
    Program,
)

SCHEMA = "pagerace-program/1"


class ProgramError(ValueError):
    """A document is not a program; the message says where."""


def program_to_json(program: Program) -> dict[str, Any]:
    """The document of a program; ``json.dumps`` takes it."""
    return {
        "schema": SCHEMA,
        "window": program.window,
        "fault_around": program.fault_around,
        "files": [asdict(file) for file in program.files],
        "calls": [call_to_json(call) for call in program.calls],
    }


def call_to_json(call: Call) -> dict[str, Any]:
    return {"call": type(call).__name__.lower(), **asdict(call)}


def program_from_text(text: str) -> Program:
    """The program of a document.  Raises ProgramError."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProgramError(f"line {error.lineno}: not JSON: {error.msg}") from None
    return program_from_json(document)


def program_from_json(document: Any) -> Program:
    """As ``program_from_text``, of a document that has been read."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ProgramError(f'no "schema": "{SCHEMA}"')
    known = {"schema", "window", "fault_around", "files", "calls"}
    if unknown := sorted(set(document) - known):
        raise ProgramError(f"unknown key {unknown[0]!r}")
    around = document.get("fault_around")
    program = Program(
        calls=tuple(
            _call(value, f"calls[{i}]") for i, value in enumerate(_list(document, "calls"))
        ),
        files=tuple(
            _record(File, value, f"files[{i}]")
            for i, value in enumerate(_list(document, "files"))
        ),
        window=_number(document, "window"),
        fault_around=None if around is None else _number(document, "fault_around"),
    )
    _check(program)
    return program


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ProgramError(f"{key}: not a list")
    return value


def _number(document: dict[str, Any], key: str) -> int:
    value = document.get(key)
    if type(value) is not int or value < 1:
        raise ProgramError(f"{key}: not a number of pages")
    return value


def _call(value: Any, place: str) -> Call:
    name = value.get("call") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in CALLS:
        raise ProgramError(f"{place}: no call is named {name!r}")
    return _record(CALLS[name], {k: v for k, v in value.items() if k != "call"}, place)


def _record(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise ProgramError(f"{place}: not an object")
    types = {item.name: type(item.default) for item in fields(kind)}
    for key, item in value.items():
        if key not in types:
            raise ProgramError(f"{place}: unknown key {key!r}")
        wanted = types[key] if types[key] in (str, bool) else int
        if type(item) is not wanted:
            raise ProgramError(f"{place}: {key}: {item!r} is not of type {wanted.__name__}")
    try:
        return kind(**value)
    except TypeError as error:
        raise ProgramError(f"{place}: {str(error).partition('() ')[2]}") from None


def _check(program: Program) -> None:
    """What a judge relies on: calls are made by processes that are alive, once each."""
    for number, file in enumerate(program.files):
        if file.kind not in ("file", "memfd"):
            raise ProgramError(f'files[{number}]: kind: neither "file" nor "memfd"')
    alive, ever = {0}, {0}
    for number, call in enumerate(program.calls):
        place = f"calls[{number}]"
        if call.actor not in alive:
            raise ProgramError(f"{place}: process {call.actor} is not alive")
        if isinstance(call, Mincore) and call.length > MINCORE_MAX:
            raise ProgramError(f"{place}: mincore() of more than {MINCORE_MAX} pages")
        name = type(call).__name__
        if name == "Fork":
            child = getattr(call, "child")  # noqa: B009
            if child in ever:
                raise ProgramError(f"{place}: there was a process {child} before")
            alive.add(child)
            ever.add(child)
        if name == "Exit":
            if call.actor == 0:
                raise ProgramError(f"{place}: process 0 ends last")
            alive.discard(call.actor)


def observation_to_json(observation: Observation) -> dict[str, Any]:
    """The document of an observation; pages by number."""
    document = {
        item.name: getattr(observation, item.name)
        for item in fields(observation)
        if item.name != "spaces"
    }
    document["spaces"] = [
        {
            "process": space.process,
            "pages": None
            if space.pages is None
            else {str(page): seen._asdict() for page, seen in sorted(space.pages.items())},
            "mappings": None
            if space.mappings is None
            else [
                {**area._asdict(), "sizes": dict(area.sizes), "vmflags": list(area.vmflags)}
                for area in space.mappings
            ],
        }
        for space in observation.spaces
    ]
    return document
