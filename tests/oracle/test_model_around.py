"""The model at other values of fault_around_bytes than the usual one."""

from __future__ import annotations

import pytest

from pagerace.oracle import engine as module
from pagerace.oracle.constants import MAP_FIXED, MAP_SHARED, PROT_READ
from pagerace.oracle.engine import Native, mapping_around
from pagerace.oracle.model import Model
from pagerace.oracle.program import File, Load, Mmap, Program

FEW = ("boot", "sys_process_create", "sys_memfd_create", "sys_mmap", "sys_pwrite")


def test_so_many_pages_are_mapped() -> None:
    model = Model(Native(config=mapping_around(64), names=FEW))
    calls = (Mmap(0, 0, 128, PROT_READ, MAP_SHARED | MAP_FIXED, 0), Load(0, 101))
    try:
        seen = model.run(Program(calls, (File("memfd", 128),)))[-1]
        assert sorted(seen.spaces[0].pages or ()) == list(range(64, 128))
    finally:
        model.close()


def test_each_value_is_compiled_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Fake] = []

    class Fake:
        about = "mm/"
        closed = False

        def __init__(self, config: object = None) -> None:
            self.config = config
            made.append(self)

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(module, "Native", Fake)
    model = Model()
    assert model.sight().sees("fault-around")
    chosen = [model._engine(around) for around in (None, 16, 1, 64, 1)]
    assert chosen == [made[0], made[0], made[1], made[2], made[1]]
    assert [fake.config for fake in made] == [None, mapping_around(1), mapping_around(64)]
    model.close()
    assert all(fake.closed for fake in made)
