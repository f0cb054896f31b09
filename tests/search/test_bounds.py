"""What is left of the memory: the machine, and control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagerace.search.bounds import Bounds, Clock, Memory, cores, resident_bytes

GIB = 1 << 30


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MACHINE = {
    "proc/meminfo": f"MemTotal: 999 kB\nMemAvailable: {16 * GIB // 1024} kB\n",
    "proc/self/statm": "100 25 1 1 0 1 0\n",
}


def test_machine_alone(tmp_path: Path) -> None:
    memory = Memory(None, write(tmp_path, MACHINE))
    assert memory.available() == 16 * GIB
    assert memory.bytes == 12 * GIB
    assert "three quarters" in memory.reason
    assert not memory.is_low()


def test_bound_of_the_caller_is_for_the_whole_process(tmp_path: Path) -> None:
    memory = Memory(GIB, write(tmp_path, MACHINE))
    assert memory.bytes == GIB - resident_bytes(tmp_path)
    assert memory.reason == "1.0 GiB (--memory-max)"


def test_version_2(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/a/b"
    root = write(
        tmp_path,
        MACHINE
        | {
            "proc/self/cgroup": "0::/a/b\n",
            f"{group}/memory.max": "max\n",
            f"{group}/memory.current": "5\n",
            "sys/fs/cgroup/a/memory.max": str(4 * GIB),
            "sys/fs/cgroup/a/memory.current": str(3 * GIB),
            "sys/fs/cgroup/a/memory.stat": f"anon 7\ninactive_file {GIB}\n",
        },
    )
    memory = Memory(None, root)
    assert memory.available() == 2 * GIB
    (root / "sys/fs/cgroup/a/memory.current").write_text(str(5 * GIB))
    assert memory.is_low()


def test_version_2_in_a_container(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        MACHINE
        | {
            "proc/self/cgroup": "0::/../../outside\n",
            "sys/fs/cgroup/memory.max": str(2 * GIB),
            "sys/fs/cgroup/memory.current": "0",
        },
    )
    assert Memory(None, root).available() == 2 * GIB


def test_version_1(tmp_path: Path) -> None:
    base = "sys/fs/cgroup/memory"
    root = write(
        tmp_path,
        MACHINE
        | {
            "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n",
            f"{base}/memory.limit_in_bytes": str((1 << 63) - 4096),
            f"{base}/docker/1/memory.limit_in_bytes": str(GIB),
            f"{base}/docker/1/memory.usage_in_bytes": str(GIB // 2),
            f"{base}/docker/1/memory.stat": "cache 1\ntotal_inactive_file 0\n",
        },
    )
    assert Memory(None, root).available() == GIB // 2


def test_nothing_is_told(tmp_path: Path) -> None:
    assert Memory(None, tmp_path).available() == 2 * GIB


def test_values_out_of_range() -> None:
    with pytest.raises(ValueError, match="states_max is 0, it must be at least 1"):
        Bounds(states_max=0)
    with pytest.raises(ValueError, match="depth_max is -1, it must not be negative"):
        Bounds(depth_max=-1)


def test_clock_and_cores() -> None:
    assert not Clock(None).is_over()
    assert Clock(0).is_over()
    assert cores() >= 1
