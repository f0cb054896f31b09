"""Workers."""

from __future__ import annotations

import threading

import pytest

from pagerace.search.team import Team


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_part_is_done_once(size: int) -> None:
    team = Team(size)
    done = [0] * 100
    workers: set[int] = set()

    def part(worker: int, number: int) -> None:
        done[number] += 1
        workers.add(worker)

    for _ in range(3):
        team.run(part, 100)
    team.close()
    assert done == [3] * 100
    assert workers <= set(range(size))


def test_an_error_reaches_the_caller() -> None:
    team = Team(3)

    def part(worker: int, number: int) -> None:
        if number == 5:
            raise KeyError(number)

    with pytest.raises(KeyError, match="5"):
        team.run(part, 50)
    before = threading.active_count()
    team.close()
    assert threading.active_count() == before - 2
    team.close()


def test_no_thread_is_started_for_one_part() -> None:
    before = threading.active_count()
    Team(8).run(lambda worker, number: None, 1)
    assert threading.active_count() == before
