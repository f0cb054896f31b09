from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.machine.cpu import cpus
from pagerace.machine.ipi import answer, answered, send_ipi, wait_for_interrupt


def test_a_request_stays_until_it_is_answered() -> None:
    assert answered()
    send_ipi(2)
    assert not answered()
    wait_for_interrupt(cpus[2], 0)
    answer(cpus[2], 0)
    assert answered()


def test_the_sender_waits_for_all() -> None:
    send_ipi(1)
    send_ipi(2)
    answer(cpus[1], 0)
    assert not answered()
    answer(cpus[2], 0)
    assert answered()


def test_delivery_waits_while_interrupts_are_off() -> None:
    send_ipi(1)
    cpus[1].interrupts_off = True
    with pytest.raises(WouldBlock):
        wait_for_interrupt(cpus[1], 0)
    cpus[1].interrupts_off = False
    wait_for_interrupt(cpus[1], 0)


def test_nothing_is_delivered_that_was_not_sent() -> None:
    with pytest.raises(WouldBlock):
        wait_for_interrupt(cpus[1], 0)
