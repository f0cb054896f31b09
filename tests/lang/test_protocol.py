"""Protocols as their authors make them."""

from __future__ import annotations

import pytest

from pagerace.lang import Config, agent, drop, protocol, thread
from pagerace.lang.protocol import Edit


class Machine(Config):
    cpus: int = 2
    pages: int = 1


class Kernel(Config):
    late: bool = False


def run() -> None:
    pass


def helper() -> None:
    pass


@pytest.mark.parametrize("make", [thread, agent])
@pytest.mark.parametrize("name", ["a,b", "a:b", "a?b"])
def test_a_name_that_no_schedule_can_hold(make: object, name: str) -> None:
    with pytest.raises(ValueError, match="has a mark that schedules use"):
        make(run, name=name)  # pyright: ignore


def test_names_default_to_the_function() -> None:
    assert thread(run).name == "run"
    assert agent(run, name="dma engine").name == "dma engine"


def test_a_sibling_replaces_parameters_class_by_class() -> None:
    first = protocol(threads=[thread(run)], config=[Machine(cpus=3), Kernel()])
    second = first.replace(config=[Kernel(late=True)])
    assert second.config == (Machine(cpus=3), Kernel(late=True))
    assert first.config == (Machine(cpus=3), Kernel(late=False))
    assert second.line > first.line


def test_a_wrong_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match="Machine has no parameter 'cpu'"):
        Machine(cpu=3)  # pyright: ignore


def test_edits_are_data() -> None:
    assert drop(run, helper) == Edit("drop", run, first=helper)
