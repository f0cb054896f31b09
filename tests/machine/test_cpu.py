from __future__ import annotations

from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine
from tests.kernel import fresh_machine


def test_there_are_as_many_cpus_as_the_machine_has() -> None:
    with fresh_machine(Machine(cpus=4, pages=2)):
        assert len(cpus) == 4
        assert len(cpus[3].tlb) == 2
        assert len(cpus[3].request) == 4
