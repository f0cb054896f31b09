"""Two or three CPUs that run the same function, and what tells them apart or does not."""

from __future__ import annotations

from pagerace.compiler.ir import Program
from pagerace.compiler.program import compile_protocol
from pagerace.lang import (
    Array,
    Config,
    Struct,
    agent,
    array,
    atomic,
    choose,
    pool,
    protocol,
    smp_processor_id,
    thread,
    u2,
    u3,
    wait_until,
)
from pagerace.lang.protocol import Function, Protocol


class Size(Config):
    cpus: int = 3


class cpu_data(Struct):
    """``asks[i]``: CPU i wants something of this one."""

    value: u2
    busy: bool
    asks: Array[bool] = array(lambda: Size.cpus)


class common_data(Struct):
    turns: u2
    last: u2
    done: Array[bool] = array(lambda: Size.cpus)


class Named(Struct):
    value: u2


cpus = pool(cpu_data, lambda: Size.cpus)
common = common_data()
left, right = Named(), Named()


def alike() -> None:
    """Own memory, and memory of all that anybody may change."""
    cpus[smp_processor_id()].busy = True
    value = common.turns
    cpus[smp_processor_id()].value = value
    common.turns = value + 1
    cpus[smp_processor_id()].busy = False


def ask_all() -> None:
    """A request to everybody, in one step, and the answers, in any order."""
    with atomic():
        for cpu in range(Size.cpus):
            if cpu != smp_processor_id():
                cpus[cpu].asks[smp_processor_id()] = True
    with atomic():
        wait_until(nobody_asked_by(smp_processor_id()))


def nobody_asked_by(sender: u3) -> bool:
    done = True
    for cpu in cpus:
        if cpu.asks[sender]:
            done = False
    return done


def answer() -> None:
    own = cpus[smp_processor_id()]
    while True:
        with atomic():
            sender = choose(Size.cpus)
            wait_until(own.asks[sender])
            own.asks[sender] = False
            own.value = cpus[sender].value


def first_goes_first() -> None:
    """The CPU with the lower number is preferred."""
    with atomic():
        busy = False
        for cpu in range(smp_processor_id()):
            if cpus[cpu].busy:
                busy = True
        if not busy:
            cpus[smp_processor_id()].busy = True
            common.turns += 1


def remembers_itself() -> None:
    """Shared memory holds the number of a CPU."""
    common.last = u2(smp_processor_id())
    if common.last != u2(smp_processor_id()):
        cpus[smp_processor_id()].value = 1


def holds_a_number() -> None:
    """A local holds the number of a CPU over a point."""
    cpu = choose(Size.cpus)
    cpus[cpu].value = 1
    if cpus[smp_processor_id()].value == 0:
        common.turns = 1


def holds_and_compares() -> None:
    """What happens depends on a local that holds the number of a CPU."""
    cpu = u2(choose(2))
    common.last = cpu
    if cpu == 0:
        cpus[smp_processor_id()].value = 1


def in_order() -> None:
    """Visits all CPUs one after the other; before and after it does something else."""
    common.turns = 1
    for cpu in range(Size.cpus):
        cpus[cpu].value = 3
    common.turns = 2
    common.turns = 3


def named(own: Named) -> None:
    own.value += 1
    own.value += 1


def start_apart() -> None:
    cpus[1].value = 2


def nobody_is_first() -> bool:
    return cpus[0].value != 3


def few_are_busy() -> bool:
    count: u2 = 0
    for cpu in cpus:
        if cpu.busy:
            count += 1
    return count < 3


def no_two_values() -> bool:
    """Every pair is looked at: no order of them matters."""
    for one in range(Size.cpus):
        for two in range(Size.cpus):
            if one != two and cpus[one].value == cpus[two].value == 3:
                return False
    return True


def claim(function: Function, count: int = 2, *more: Function, **parts: object) -> Protocol:
    """``count`` CPUs run ``function``; the CPU behind them runs each of ``more``."""
    return protocol(
        threads=[
            *(thread(function, cpu=cpu) for cpu in range(count)),
            *(thread(other, cpu=count) for other in more),
        ],
        config=[Size(cpus=count + 1)],
        **parts,  # pyright: ignore
    )


def asking(count: int) -> Protocol:
    """``count`` CPUs that answer; the first of them is asked and asks too."""
    return protocol(
        threads=[thread(ask_all, cpu=0)],
        config=[Size(cpus=count)],
        always=[no_two_values],
    ).replace(
        threads=[
            thread(ask_all, cpu=0),
            *(thread(alike, cpu=cpu) for cpu in range(1, count)),
            *(agent(answer, cpu=cpu) for cpu in range(count)),
        ]
    )


def everybody_asks(count: int) -> Protocol:
    """Who has asked whom is of two CPUs each, and in no signature."""
    return asking(count).replace(
        threads=[
            *(thread(ask_all, cpu=cpu) for cpu in range(count)),
            *(agent(answer, cpu=cpu) for cpu in range(count)),
        ]
    )


two_names = protocol(threads=[thread(named, left, cpu=0), thread(named, right, cpu=1)])
same_cpu = protocol(threads=[thread(alike, cpu=0) for _ in range(3)])


def program(of: Protocol) -> Program:
    return compile_protocol(of, "sample")
