"""What must hold of a page that moves, looked at one state at a time."""

from __future__ import annotations

from pagerace.machine.memory import Machine
from pagerace.mm.mm_types import Mm, mem_map
from pagerace.mm.page_flags import mapcount_dec
from pagerace.protocols._moved_file import no_lost_write, setup
from tests.kernel import fresh_machine


def test_a_dirty_bit_that_no_rmap_leads_to_is_none() -> None:
    with fresh_machine(Machine(pages=2, frames=1), Mm(vmas=2)):
        setup()
        mem_map[0].PG_dirty = False
        assert no_lost_write()
        mapcount_dec(mem_map[0])
        assert not no_lost_write()
