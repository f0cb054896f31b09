"""Reference counts that each CPU counts alone: lib/percpu-refcount.c, percpu-refcount.h.

In percpu mode a get or a put is an addition to this CPU's own counter, which no other CPU
looks at: no locked instruction, and nobody knows the sum.  Who wants to know it switches to
atomic mode: from then on all count in ``count``; when each CPU has left the RCU section in
which it has read the old mode, what CPUs have counted is added to it.  Until then
PERCPU_COUNT_BIAS keeps it from zero, which a put there of what was got elsewhere could reach.

Here ``release`` is what the caller does when a put says that it was the last.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pagerace.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Array,
    Struct,
    array,
    atomic,
    bug_on,
    sized,
    smp_processor_id,
    u2,
)
from pagerace.machine.memory import Machine, count_t
from pagerace.mm.atomic import count_atomic
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock

# `unsigned long`: a counter of one CPU goes below zero where what is put was got elsewhere.
if TYPE_CHECKING:
    percpu_count_t: TypeAlias = int
else:
    percpu_count_t = sized("percpu_count_t", lambda: 64 if Machine.full_size else 8)

# Flags of ``percpu_count_ptr``; without them: percpu mode.
__PERCPU_REF_ATOMIC = 1
__PERCPU_REF_DEAD = 2
__PERCPU_REF_ATOMIC_DEAD = 3


class percpu_ref(Struct):
    """struct percpu_ref.  ``percpu_count_ptr``: the flags of it; ``percpu_count``: of CPUs."""

    count: percpu_count_t
    percpu_count_ptr: u2
    percpu_count: Array[percpu_count_t] = array(lambda: Machine.cpus)


def PERCPU_COUNT_BIAS() -> percpu_count_t:
    """The highest bit: no number of references is as large."""
    return 1 << 63 if Machine.full_size else 1 << 7


def percpu_ref_init(ref: percpu_ref) -> None:
    """percpu_ref_init(): percpu mode, and one reference; nobody else knows it yet."""
    with atomic():
        ref.count = PERCPU_COUNT_BIAS() + 1
        ref.percpu_count_ptr = 0
        for cpu in range(Machine.cpus):
            ref.percpu_count[cpu] = 0


def __ref_is_percpu(ref: percpu_ref) -> bool:
    """__ref_is_percpu(): what is read holds as long as the RCU section that it is read in."""
    return READ_ONCE(ref.percpu_count_ptr) & __PERCPU_REF_ATOMIC_DEAD == 0


def this_cpu_add(ref: percpu_ref, nr: percpu_count_t) -> None:
    """this_cpu_add(): no other CPU comes in between, for none writes there."""
    with atomic():
        ref.percpu_count[smp_processor_id()] += nr


def percpu_ref_get(ref: percpu_ref) -> None:
    """percpu_ref_get(): one more; the caller has one."""
    rcu_read_lock()
    if __ref_is_percpu(ref):
        this_cpu_add(ref, 1)
    else:
        atomic_long_add(ref, 1)
    rcu_read_unlock()


def percpu_ref_tryget(ref: percpu_ref) -> bool:
    """percpu_ref_tryget(): one more, unless there is none any more.

    Somebody who is in an RCU section need have none: the memory is there.
    """
    rcu_read_lock()
    if __ref_is_percpu(ref):
        this_cpu_add(ref, 1)
        taken = True
    else:
        taken = atomic_long_inc_not_zero(ref)
    rcu_read_unlock()
    return taken


def percpu_ref_put_many(ref: percpu_ref, nr: count_t) -> bool:
    """percpu_ref_put_many(): so many less; True: none is left.  In percpu mode nobody knows."""
    last = False
    rcu_read_lock()
    if __ref_is_percpu(ref):
        this_cpu_add(ref, -percpu_count_t(nr))
    else:
        last = atomic_long_sub_and_test(ref, percpu_count_t(nr))
    rcu_read_unlock()
    return last


def percpu_ref_is_dying(ref: percpu_ref) -> bool:
    """percpu_ref_is_dying(): was percpu_ref_kill() called?"""
    return READ_ONCE(ref.percpu_count_ptr) & __PERCPU_REF_DEAD != 0


def percpu_ref_kill(ref: percpu_ref) -> None:
    """percpu_ref_kill_and_confirm(): atomic mode, and the first reference is dropped.

    After a grace period, for which the caller waits, percpu_ref_switch_to_atomic_rcu() is to
    follow.  The caller has a reference of his own, and a lock in place of the kernel's
    percpu_ref_switch_lock, which is one for all of them.
    """
    bug_on(percpu_ref_is_dying(ref), "double-free")
    WRITE_ONCE(ref.percpu_count_ptr, __PERCPU_REF_ATOMIC_DEAD)
    atomic_long_add(ref, 1)  # until percpu_ref_switch_to_atomic_rcu()
    atomic_long_sub_and_test(ref, 1)


def percpu_ref_switch_to_atomic_rcu(ref: percpu_ref) -> bool:
    """percpu_ref_switch_to_atomic_rcu(): each CPU knows of atomic mode; True: none is left."""
    count: percpu_count_t = 0
    for cpu in range(Machine.cpus):
        count += READ_ONCE(ref.percpu_count[cpu])
    atomic_long_add(ref, count - PERCPU_COUNT_BIAS())
    return percpu_ref_put_many(ref, 1)


def percpu_ref_resurrect(ref: percpu_ref) -> None:
    """percpu_ref_resurrect(): the first reference is back, and percpu mode.

    The caller has a reference of his own, and the lock, and is the one who has killed it.
    """
    bug_on(not percpu_ref_is_dying(ref), "double-free")
    WRITE_ONCE(ref.percpu_count_ptr, __PERCPU_REF_ATOMIC)
    percpu_ref_get(ref)
    __percpu_ref_switch_to_percpu(ref)


def __percpu_ref_switch_to_percpu(ref: percpu_ref) -> None:
    """__percpu_ref_switch_to_percpu(): from the store of the flags on CPUs count alone."""
    atomic_long_add(ref, PERCPU_COUNT_BIAS())
    for cpu in range(Machine.cpus):
        WRITE_ONCE(ref.percpu_count[cpu], 0)
    WRITE_ONCE(ref.percpu_count_ptr, 0)  # smp_store_release()


def percpu_ref_is_alone(ref: percpu_ref) -> bool:
    """In atomic mode: is the caller's reference the only one?  Others can come from tryget."""
    return READ_ONCE(ref.count) == 1


def atomic_long_add(ref: percpu_ref, nr: percpu_count_t) -> None:
    """atomic_long_add() of ``count``."""
    count_atomic()
    with atomic():
        ref.count += nr


def atomic_long_inc_not_zero(ref: percpu_ref) -> bool:
    """atomic_long_inc_not_zero() of ``count``."""
    count_atomic()
    with atomic():
        taken = ref.count != 0
        if taken:
            ref.count += 1
    return taken


def atomic_long_sub_and_test(ref: percpu_ref, nr: percpu_count_t) -> bool:
    """atomic_long_sub_and_test() of ``count``: is it zero now?"""
    count_atomic()
    with atomic():
        bug_on(ref.count < nr, "counter-below-zero")
        ref.count -= nr
        zero = ref.count == 0
    return zero
