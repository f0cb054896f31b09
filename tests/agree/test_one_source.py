"""check, replay and diff run the same functions: the very objects that each of them compiles.

Nothing is compared by its text.  Every function that is compiled, for whatever purpose, is
looked up in one place, which is watched here.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.compiler.source import Edits
from pagerace.compiler.whole import compile_whole
from pagerace.lang.protocol import Function
from pagerace.lang.structures import Config, bound
from pagerace.oracle import engine as diff
from pagerace.protocols import t1_progress, t4_gather
from pagerace.replay import engine as replay

SHARED = {
    "do_fault", "do_read_fault", "do_user_addr_fault", "find_vma", "finish_fault",
    "handle_mm_fault", "handle_pte_fault", "page_remove_rmap", "pte_alloc_one",
    "pte_offset_map_lock", "tlb_flush_mmu", "unmap_vmas", "zap_pte_range",
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled() -> dict[str, set[Function]]:
    """What each of the three compiles."""
    found: dict[str, set[Function]] = {"check": set(), "replay": set(), "diff": set()}
    patch = pytest.MonkeyPatch()
    look_up = Edits.tree
    now = "check"

    def watched(self: Edits, function: Function) -> object:
        found[now].add(function)
        return look_up(self, function)

    class Compiled:
        """Stands for Running, and stops when all is compiled."""

        def __init__(
            self, functions: Iterable[Function], config: Iterable[Config], **_: object
        ):
            with bound(*config):
                compile_whole(list(functions))

    patch.setattr(Edits, "tree", watched)
    patch.setattr(diff, "Running", Compiled)
    for claim in (t1_progress.loads, t4_gather.batches):
        compile_protocol(claim)
    now = "replay"
    with bound(*replay.machine()):
        compile_whole(replay.FUNCTIONS)
    now = "diff"
    diff.Native()
    patch.undo()
    return found


def of_kernel(functions: Iterable[Function]) -> dict[str, Function]:
    """Those that have the kernel's name, by it."""
    return {
        function.__name__: function
        for function in functions
        if (function.__doc__ or "").startswith(f"{function.__name__}()")
    }


def test_the_three_share_the_kernel(compiled: dict[str, set[Function]]) -> None:
    check, replayed, compared = (
        of_kernel(compiled[run]) for run in ("check", "replay", "diff")
    )
    assert set(check) & set(replayed) & set(compared) >= SHARED
    assert {"do_fault_around", "filemap_map_pages"} <= set(check) & set(replayed)
    for name in {*check} & {*replayed}:
        assert check[name] is replayed[name]
    for name in {*replayed} & {*compared}:
        assert replayed[name] is compared[name]
    for name in {*check} & {*compared}:
        assert check[name] is compared[name]


@pytest.mark.parametrize("run", ["check", "replay", "diff"])
def test_a_kernel_function_comes_from_mm_or_machine(
    compiled: dict[str, set[Function]], run: str
) -> None:
    assert len(of_kernel(compiled[run])) > 60
    for function in of_kernel(compiled[run]).values():
        assert function.__module__.startswith(("pagerace.mm.", "pagerace.machine."))
