"""One trace under several variants of the kernel, side by side, and what each operation costs.

The variants are those of mm/table_variants.py: who may walk tables of PTEs, and who frees them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pagerace.lang.structures import Config
from pagerace.machine.tables import PteTables
from pagerace.mm.mmu_gather import MmuGather
from pagerace.mm.table_variants import TITLES, VARIANTS
from pagerace.replay import engine
from pagerace.replay.costs import Walks
from pagerace.replay.counts import Costs
from pagerace.replay.events import Event, TraceError
from pagerace.replay.mappings import Mappings
from pagerace.replay.reader import Trace
from pagerace.replay.session import Session

# sqlite3 with jemalloc, which gives memory back by MADV_DONTNEED; docs/compare.md tells how it
# was recorded.
TRACE: Final = Path(__file__).parent / "data" / "sqlite3-jemalloc.lackey.xz"
EVERY: Final = 8  # faults, after which somebody walks

# What a variant says of these is not all that a machine of full size has to know of them.
_PARTLY: Final = (MmuGather, PteTables)


def names() -> list[str]:
    """All variants, in their order."""
    return list(VARIANTS)


def title(name: str) -> tuple[str, str]:
    """What a variant is, and where it comes from."""
    return TITLES[name]


def config_of(name: str, *, every: int = EVERY, cpus: int = 1) -> list[Config]:
    """A machine of full size with the kernel of a variant, that charges what it counts."""
    found: dict[type[Config], Config] = {type(c): c for c in engine.machine(cpus=cpus)}
    for config in VARIANTS[name]:
        kind = type(config)
        if kind in _PARTLY and kind in found:
            defaults = vars(kind())
            said = {n: v for n, v in vars(config).items() if v != defaults[n]}
            found[kind] = found[kind].replace(**said)
        else:
            found[kind] = config
    return [*found.values(), Walks(costs=True, every=every)]


class Compared:
    """Machines of several variants, to be fed with the same traces.

    ``made`` is told of each as it is compiled, which takes seconds.  Raises NativeUnavailable.
    """

    def __init__(
        self, variants: Sequence[str], *, every: int = EVERY, cpus: int = 1,
        made: Callable[[str], object] = lambda name: None,
    ) -> None:  # fmt: skip
        self.variants = variants
        self.mappings = [Mappings() for _ in variants]
        self.machines: list[engine.Replay] = []
        for name, unmapped in zip(variants, self.mappings, strict=True):
            made(name)
            config = config_of(name, every=every, cpus=cpus)
            self.machines.append(
                engine.Replay(config=config, cpus=cpus, unmapped=unmapped, hurry=True)
            )
        self.accesses = 0

    def run(
        self, traces: Sequence[Trace], each: Callable[[float], object] = lambda done: None
    ) -> list[TraceError]:
        """Replay to the end; what is wrong with the traces.

        ``each`` is told how much is done, 0 to 1.  Raises NoMemory and KernelStopped.
        """
        session = Session(traces, self.machines, self.mappings, lambda process: ([], []))

        def told(event: Event) -> bool:
            each(session.done)
            return True

        try:
            session.run(told)
        finally:
            session.close()
        self.accesses = session.accesses
        return session.errors

    def costs(self) -> Mapping[str, Costs]:
        """By variant."""
        pairs = zip(self.variants, self.machines, strict=True)
        return {name: machine.costs() for name, machine in pairs}

    def faults_differ(self) -> bool:
        """Did the variants not take the same number of faults?"""
        taken = {costs.of["fault"].number for costs in self.costs().values()}
        return len(taken) > 1

    def close(self) -> None:
        """Give the memory back."""
        for machine in self.machines:
            machine.close()
