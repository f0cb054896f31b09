"""What may be chosen about a replay."""

from __future__ import annotations

import pytest

from pagerace.machine.memory import Machine
from pagerace.machine.tlb_sets import Tlb
from pagerace.mm.fault_around import V6_6, FaultAround, Prefault
from pagerace.replay.engine import OPTIONS, Replay, machine, watermarks


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("levels", "5", 5), ("readahead", "off", False), ("prefault", "old", Prefault.OLD),
        ("l2_ways", "12", 12), ("kernel", "v6.6", V6_6), ("pde", "0", 0),
    ],
)  # fmt: skip
def test_a_value(name: str, text: str, value: object) -> None:
    assert OPTIONS[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("levels", "3", "3 is none of 4, 5"), ("readahead", "1", "'1' is neither on nor off"),
        ("prefault", "new", "'new' is none of arch, young, old, all_old, fixed_up"),
        ("l2_ways", "0", "0 is not 1 to 64"), ("l1_ways", "3", "3 is none of 1, 2, 4, 8, 16"),
        ("ra_pages", "x", "'x' is not a number"), ("l1_sets", "-4", "'-4' is not a number"),
    ],
)  # fmt: skip
def test_what_cannot_be(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        OPTIONS[name].parse(text)


def test_every_default_is_a_value() -> None:
    for option in OPTIONS.values():
        option.parse(option.default)
        assert option.values and option.help


def test_options_change_the_machine_and_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def running(functions: object, config: list[object], **_: object) -> None:
        asked.extend(config)
        raise InterruptedError

    monkeypatch.setattr("pagerace.replay.engine.Running", running)
    options = {"fault_around_bytes": 4096, "kernel": V6_6, "l1_ways": 8, "levels": 5}
    with pytest.raises(InterruptedError):
        Replay(options, memory=1 << 30, cpus=3)
    assert V6_6.replace(fault_around_bytes=4096) in asked
    assert Tlb(l1_ways=8) in asked
    (full,) = (item for item in asked if isinstance(item, Machine))
    assert (full.levels, full.pages, full.cpus, full.frames) == (5, 1 << 45, 3, 1 << 18)
    assert any(isinstance(item, FaultAround) for item in machine())


def test_watermarks_leave_memory_to_use() -> None:
    for frames in (256, 4096, 1 << 18, 1 << 24):
        low, high = watermarks(frames)
        assert 40 <= low < high < frames // 2
    assert watermarks(1 << 18) == (1024 + 262, 1024 + 2 * 262)  # 1 GiB
