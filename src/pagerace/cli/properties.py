"""The properties that claims state, as reports name them."""

from __future__ import annotations

from collections.abc import Iterable

from pagerace.lang.protocol import Function, Protocol
from pagerace.report.properties import Property, first_sentence

KINDS = ("always", "at_end")


def described(kind: str, function: Function) -> Property:
    """A property function in plain data."""
    doc = first_sentence(function.__doc__ or "")
    return Property(function.__name__, kind, doc, function.__module__)


def stated_by(protocol: Protocol) -> dict[Property, Function]:
    """What a claim says must hold always, and at the end."""
    return {
        described(kind, function): function
        for kind in KINDS
        for function in getattr(protocol, kind)
    }


def stated_by_any(protocols: Iterable[Protocol]) -> dict[Property, Function]:
    """The union of what the claims state, in the order of the ids, then of the claims."""
    found: dict[Property, Function] = {}
    for protocol in protocols:
        found.update(stated_by(protocol))
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def _order(item: Property) -> tuple[bool, str, int]:
    """T4-S2 before T4-S10, and properties without an id last."""
    stem = item.id.rstrip("0123456789")
    return not item.id, stem, int(item.id[len(stem) :] or 0)
