"""A program in one number: equal programs have equal executions, at equal lines."""

from __future__ import annotations

import hashlib

from pagerace.compiler.ir import Program
from pagerace.compiler.show import show, type_name


def digest(program: Program) -> str:
    """32 hexadecimal digits that change with anything that an execution shows."""
    known = hashlib.sha256()

    def add(*parts: object) -> None:
        known.update(repr(parts).encode())

    add(sorted(program.bounds.items()), program.locks, program.lock_names)
    for family in program.families:
        add(family.names, type_name(family.type), family.written, family.initial)
    for process in program.processes:
        add(process.name, process.label, process.cpu, process.agent, show(process.code))
    for item in program.properties:
        add(item.kind, item.name, item.where.line, show(item.code))
    add([(check.slug, check.text) for check in program.checks])
    return known.hexdigest()[:32]
