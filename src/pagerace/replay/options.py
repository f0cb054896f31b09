"""What can be chosen about the machine and the kernel of a replay."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pagerace.lang.structures import Config


@dataclass(frozen=True)
class Option:
    """One field of a Config, or with ``field`` "" all.  ``values``: what may be given."""

    config: type[Config]
    field: str
    values: str
    default: str
    help: str
    parse: Callable[[str], Any]


def option(
    config: type[Config],
    field: str,
    help: str,
    allowed: Sequence[int] = (),
    default: int | None = None,
) -> Option:
    """The option of a field, by the type of its default, which may be another here.

    ``allowed``: the numbers that it can be.
    """
    default = getattr(config, field) if default is None else default
    if isinstance(default, bool):
        return Option(config, field, "on, off", "on" if default else "off", help, _flag)
    if isinstance(default, enum.Enum):
        members = {m.name.lower(): m for m in type(default)}
        return Option(
            config, field, ", ".join(members), default.name.lower(), help, _member(members)
        )
    return Option(config, field, _words(allowed), str(default), help, _number(allowed))


def _words(allowed: Sequence[int]) -> str:
    if isinstance(allowed, range):
        return f"{allowed[0]} to {allowed[-1]}"
    return ", ".join(map(str, allowed))


def choice(
    config: type[Config], help: str, members: Mapping[str, Config], default: str
) -> Option:
    """The option of a whole Config, of which some have names."""
    return Option(config, "", ", ".join(members), default, help, _member(members))


def _flag(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(f"{text!r} is neither on nor off")
    return text == "on"


def _member(members: Mapping[str, Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        if text.lower() not in members:
            raise ValueError(f"{text!r} is none of {', '.join(members)}")
        return members[text.lower()]

    return parse


def _number(allowed: Sequence[int]) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdigit():
            raise ValueError(f"{text!r} is not a number")
        value = int(text)
        if value not in allowed:
            how = "not" if isinstance(allowed, range) else "none of"
            raise ValueError(f"{value} is {how} {_words(allowed)}")
        return value

    return parse
