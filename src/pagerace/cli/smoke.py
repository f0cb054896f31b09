"""The smallest race there is, for ``pagerace doctor``: two CPUs increment a counter."""

from pagerace.lang import Struct, protocol, thread, u8, violates


class Counter(Struct):
    """One number that both CPUs change."""

    value: u8


counter = Counter()


def increment() -> None:
    """Read, add, write: another CPU may run between the read and the write."""
    counter.value += 1


def no_lost_update() -> bool:
    """Both increments count."""
    return counter.value == 2


lost_update = protocol(
    threads=[thread(increment, cpu=0), thread(increment, cpu=1)],
    at_end=[no_lost_update],
    expect=violates(no_lost_update),
    title="two increments without a lock: one is lost",
)
