"""The race diagram: its exact form, and what holds for every one of them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerace import search
from pagerace.report.calls import moments_of
from pagerace.report.diagram import COMMENT, COMMIT, diagram, wrap
from pagerace.report.execution import Execution, Process, Step, Violation
from pagerace.report.story import tell
from tests.report import samples
from tests.report.samples import event
from tests.search import samples as programs

ALL = [samples.madvise_against_numa, samples.three_cpus, samples.deadlock, samples.many_cpus]

AS_SPECIFIED = """\
    CPU0                                 CPU1
    ----                                 ----
                                         change_huge_pmd()
                                           pmdp_huge_get_and_clear(pmd)
                                             pmd: 0x8e7 -> 0
    madvise_dontneed()
      zap_pmd_range()
        pmd_trans_huge(*pmd) -> false
        // pmd is skipped
                                           set_pmd_at(pmd, newprot)
                                             pmd: 0 -> 0x8e5
                                             // pmd is re-established
      return 0
      ^^^^^^^^ range is still mapped"""


def test_is_the_diagram_of_the_specification() -> None:
    assert diagram(samples.madvise_against_numa()) == AS_SPECIFIED


@pytest.mark.parametrize("sample", ALL)
@pytest.mark.parametrize("verbose", [False, True])
def test_snapshot(sample: object, verbose: bool, snapshot: object) -> None:
    assert diagram(sample(), verbose=verbose) == snapshot  # type: ignore[operator]


@pytest.mark.parametrize("sample", ALL)
def test_comment_snapshot(sample: object, snapshot: object) -> None:
    assert diagram(sample(), COMMENT) == snapshot  # type: ignore[operator]


@pytest.mark.parametrize("sample", ALL)
def test_width_and_ascii(sample: object) -> None:
    for row in diagram(sample()).splitlines():  # type: ignore[operator]
        assert len(row) <= 75
        assert row.isascii() and row == row.rstrip()


@pytest.mark.parametrize("sample", ALL)
def test_comment_width(sample: object) -> None:
    for row in diagram(sample(), COMMENT).splitlines():  # type: ignore[operator]
        assert len(row.expandtabs(8)) <= 80
        assert row.startswith(" *\t")


def test_three_steps_of_a_lock_are_one_line() -> None:
    execution = samples.two_lockers()
    texts = [line.text for line in tell(execution)]
    assert texts.count("spin_lock(ptl)") == 2
    assert not any("ptl.locked" in text for text in texts)


def test_verbose_tells_the_lock() -> None:
    texts = [line.text for line in tell(samples.three_cpus(), verbose=True)]
    assert "ptl.locked: 0 -> 1" in texts


def test_second_call_of_a_function_is_headed_again() -> None:
    call = samples.event("call", "run:3", text="inc")
    back = samples.event("return", "run:3 inc")
    steps = [
        Step(0, [], [call, samples.event("store", "run:3 inc", "n", str(n), str(n + 1)), back])
        for n in range(2)
    ]
    execution = _execution(steps, [Process(0, "run", "0", 0)])
    assert [line.text for line in tell(execution)].count("inc()") == 2


def test_calls_on_two_lines_are_two_calls_without_call_events() -> None:
    steps = [
        Step(0, [], [samples.event("store", "run:3 inc", "n", "0", "1")]),
        Step(0, [], [samples.event("store", "run:4 inc", "n", "1", "2")]),
    ]
    moments = moments_of(_execution(steps, [Process(0, "run", "0", 0)]))
    assert moments[0].call is not moments[1].call
    assert moments[0].call.parent is moments[1].call.parent


def test_access_that_nobody_else_can_see_is_left_out() -> None:
    private = dataclasses.replace(samples.event("store", "run", "mine", "0", "1"), shared=False)
    execution = _execution([Step(0, [], [private])], [Process(0, "run", "0", 0)])
    assert tell(execution) == []
    assert "mine: 0 -> 1" in [line.text for line in tell(execution, verbose=True)]


def test_violation_in_a_step_without_lines_marks_nothing() -> None:
    execution = _execution(
        [Step(0, [], [])], [Process(0, "run", "0", 0)], Violation("assert", text="no")
    )
    assert diagram(execution).splitlines() == ["    CPU0", "    ----"]


@given(st.text(min_size=1), st.integers(8, 40), st.integers(0, 12))
def test_wrapped_text_fits(text: str, width: int, indent: int) -> None:
    if not text.strip():
        return
    for piece in wrap(text, width, indent):
        assert len(piece) <= width and piece.isascii()


NAMES = ["munmap", "zap_pte_range", "set_page_dirty", "page_remove_rmap"]
CALLS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(
    lambda names: " ".join(f"{name}:{i + 1}" for i, name in enumerate(names))
)
VALUES = st.sampled_from(["0", "1", "pfn 1 present writable dirty", "pages[1]"])
KINDS = st.sampled_from(["load", "store", "call", "return", "trace", "wait", "choose"])
EVENTS = st.builds(samples.event, KINDS, CALLS, VALUES, VALUES, VALUES, CALLS)


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 5), st.lists(EVENTS, max_size=3)), max_size=12),
)
def test_any_execution_can_be_drawn(cpus: int, steps: list[tuple[int, list[object]]]) -> None:
    processes = [Process(i, f"t{i}", str(i), i, agent=i == 3) for i in range(cpus)]
    execution = _execution(
        [Step(process % cpus, [], events) for process, events in steps],  # type: ignore[arg-type]
        processes,
        Violation("assert", text="what was asserted does not hold"),
    )
    for style in (COMMIT, COMMENT):
        for verbose in (False, True):
            for row in diagram(execution, style, verbose=verbose).splitlines():
                assert len(row.expandtabs(8)) <= style.width


def _execution(
    steps: list[Step], processes: list[Process], violation: Violation | None = None
) -> Execution:
    claim = samples.deadlock().protocol
    return Execution(claim, "violated", processes, steps, violation)


def test_use_after_free_says_what_is_wrong() -> None:
    found = event("load", "lookup", "pages[0].<allocated>", "false", "false")
    violation = Violation("use-after-free", "", watched=[])
    process = Process(0, "one", "0", 0)
    drawn = diagram(_execution([Step(0, [], [found])], [process], violation)).splitlines()
    assert drawn[-2].strip() == "pages[0] is not allocated"
    assert drawn[-1].strip() == "^" * 25 + " use after free"


def test_what_failed_is_said_once() -> None:
    found = event("check", "pick", "index-out-of-range", text="2")
    violation = Violation("index-out-of-range", "", "2", watched=[])
    process = Process(0, "one", "0", 0)
    drawn = diagram(_execution([Step(0, [], [found])], [process], violation)).splitlines()
    assert [line.strip() for line in drawn[-2:]] == ["index out of range: 2", "^" * 21]


def test_threads_that_share_a_cpu_are_told_apart(snapshot: object) -> None:
    """One column, and a heading wherever another thread goes on in it."""
    execution = search.check(programs.program("one_cpu")).execution
    assert execution is not None
    assert diagram(execution) == snapshot
