from __future__ import annotations

from pagerace.machine.memory import disk, frames, read_in, write_out


def test_a_page_travels_to_the_disk_and_back() -> None:
    frames.alloc()
    frames[0].content = 3
    write_out(0, 0)
    frames[0].content = 4
    assert disk.block[0] == 3
    read_in(0, 0)
    assert frames[0].content == 3
