"""Calling ``machine/`` and ``mm/`` as plain Python: a fresh machine for each test.

Plain Python has one thread and no agents.  ``fresh_machine`` puts all memory back to its
initial state; ``deliver_interrupts`` answers each interrupt at once, where in a check an
agent of the target CPU would answer it some time later.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

import pagerace.machine
import pagerace.mm
import pagerace.protocols
from pagerace.lang.structures import Config, PerThread, Pool, Struct, bound
from pagerace.machine.cpu import cpus
from pagerace.machine.ipi import answer, send_ipi
from pagerace.mm import smp
from pagerace.mm.smp import cfd_data
from pagerace.mm.tlb import flush_tlb_func

PACKAGES = (pagerace.machine, pagerace.mm, pagerace.protocols)


def modules() -> list[ModuleType]:
    """All modules of ``machine/``, ``mm/`` and ``protocols/``."""
    return [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for package in PACKAGES
        for found in pkgutil.iter_modules(package.__path__)
    ]


def reset(item: Any) -> None:
    """Put one global back to what it was when its module was imported."""
    if isinstance(item, Struct):
        vars(item).clear()
        item.__init__()
    elif isinstance(item, Pool):
        item._objects, item._allocated = None, []
    elif isinstance(item, PerThread):
        item._object = None


@contextmanager
def fresh_machine(*configs: Config) -> Iterator[None]:
    """Memory as at power-on, with these parameters bound."""
    with bound(*configs):
        for module in modules():
            for item in list(vars(module).values()):
                reset(item)
        yield


def deliver_interrupts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Answer interrupts at once.  Returns the list of targets, which grows."""
    targets: list[int] = []

    def send_and_answer(target: int) -> None:
        targets.append(int(target))
        send_ipi(target)
        assert not cpus[target].interrupts_off
        flush_tlb_func(cpus[target], cfd_data[0].start, cfd_data[0].end)
        answer(cpus[target], 0)

    monkeypatch.setattr(smp, "send_ipi", send_and_answer)
    return targets
