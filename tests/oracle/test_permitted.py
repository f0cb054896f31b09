"""What a machine permits, and how a judge says what it does not see."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pagerace.oracle import permitted as module
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.permitted import NEEDS, Permitted, permitted
from pagerace.oracle.program import KINDS, CannotJudge, Load, Mmap, Program


def test_another_system_is_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    found = permitted()
    assert found.refused == dict.fromkeys(NEEDS, "the judge is a running Linux, this is Darwin")
    with pytest.raises(CannotJudge, match="this is Darwin"):
        Kernel()


@pytest.mark.skipif(sys.platform != "linux", reason="asks about another processor of Linux")
def test_another_processor_is_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    reason = "subjects are x86-64 code, this is aarch64"
    assert permitted().refused["processes"] == reason
    with pytest.raises(CannotJudge, match=reason):
        Kernel()


def test_this_machine(allowed: Permitted) -> None:
    assert set(allowed.refused) <= set(NEEDS)
    assert "" not in allowed.refused.values()


def test_ptrace_that_is_forbidden(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def seize(pid: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr("pagerace.oracle.ptrace.seize", seize)
    refused = permitted().refused
    assert refused["processes"].startswith("ptrace(PTRACE_SEIZE): Operation not permitted (")
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("need", ["pagemap", "smaps", "frames"])
def test_less_is_seen_where_less_is_permitted(kernel: Kernel, need: str) -> None:
    known = Permitted("a machine", {need: "not here"})
    program = Program((Mmap(0, 0, 1, 3, 0x32), Load(0, 0)))
    with Kernel(known=known) as judge:
        sight = judge.sight()
        space = judge.run(program)[-1].spaces[0]
    missing = {
        "pagemap": {"contents", "pagemap", "mapcount", "flags"},
        "smaps": {"contents", "smaps"},
        "frames": {"mapcount", "flags"},
    }[need]
    assert set(sight.missing) == missing
    assert set(sight.missing.values()) == {"not here"}
    assert set(sight.missing) | set(sight.disturbs) <= set(KINDS)
    assert (space.pages is None) == (need == "pagemap")
    assert (space.mappings is None) == (need == "smaps")
    if space.pages:
        page = space.pages[0]
        assert (page.content is None) == ("contents" in missing)
        assert (page.flags is None) == ("flags" in missing)


def test_the_first_reason_is_told() -> None:
    refused = {"smaps": "no smaps", "pagemap": "no pagemap", "frames": "no frames"}
    missing = Permitted("a machine", refused).missing()
    assert (missing["contents"], missing["flags"]) == ("no pagemap", "no pagemap")
    refused["processes"] = "no ptrace"
    assert Permitted("a machine", refused).missing() == dict.fromkeys(KINDS, "no ptrace")


def test_huge_pages_that_are_not_those_of_mm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "enabled"
    monkeypatch.setattr(module, "_HUGE", path)
    monkeypatch.setattr(module.khugepaged, "refusal", lambda: "")
    for chosen, others in (("never", "always madvise"), ("always", "madvise never")):
        path.write_text(f"{others} [{chosen}]\n")
        assert module._huge_pages() == f"{path} is {chosen!r}, not 'madvise'"
    path.write_text("always [madvise] never\n")
    assert module._huge_pages() == ""
    size = tmp_path / "hugepages-64kB" / "enabled"
    size.parent.mkdir()
    size.write_text("[always] inherit madvise never\n")
    assert module._huge_pages() == f"{size} is 'always'"
    size.write_text("always inherit madvise [never]\n")
    (tmp_path / "use_zero_page").write_text("0\n")
    assert module._huge_pages() == f"{tmp_path / 'use_zero_page'} is not 1"
    (tmp_path / "use_zero_page").write_text("1\n")
    monkeypatch.setattr(module.khugepaged, "refusal", lambda: "read-only")
    assert module._huge_pages() == "read-only"


# Whoever changes his name is not dumpable any more (prctl(2)), and owns no /proc/self/fd.
_AS_NOBODY = """
import ctypes, os, resource, tempfile  # os.wait4() wants resource
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.program import *
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
with Kernel() as judge:
    print(judge.sight().about.rpartition(", ")[2])
    for kind, why in judge.sight().missing.items():
        print(kind, "|", why)
    seen = judge.run(Program((Mmap(0, 0, 1, 3, 0x32), Store(0, 0, 5)), (File("memfd"),)))[-1]
    print(dict(seen.spaces[0].pages), seen.minor)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can be somebody else"
)
def test_without_root(kernel: Kernel) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"another user cannot run this: {done.stderr.splitlines()[-1]}")
    lines = done.stdout.splitlines()
    assert lines[0] == "not root"
    assert "mapcount | /proc/kpagecount: Permission denied, root only" in lines
    assert "flags | /proc/kpagecount: Permission denied, root only" in lines
    assert lines[-1] == "{0: Page(pagemap=9, content=5, mapcount=None, flags=None)} 1"
