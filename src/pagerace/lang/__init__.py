"""What an author of kernel Python imports.  Standard library only."""

from pagerace.lang import integers
from pagerace.lang.access import (
    READ_ONCE,
    WRITE_ONCE,
    cmpxchg,
    smp_load_acquire,
    smp_mb,
    smp_rmb,
    smp_store_release,
    smp_wmb,
    xchg,
)
from pagerace.lang.constants import Constants
from pagerace.lang.flow import (
    atomic,
    bug_on,
    choose,
    lock_order,
    smp_processor_id,
    thread_index,
    trace,
    wait_until,
)
from pagerace.lang.integers import *  # noqa: F403
from pagerace.lang.protocol import (
    HOLDS,
    agent,
    drop,
    force,
    mutant,
    protocol,
    swap,
    thread,
    violates,
)
from pagerace.lang.structures import (
    Array,
    BitStruct,
    Config,
    Pool,
    Ref,
    Struct,
    array,
    bound,
    per_thread,
    pool,
)
from pagerace.lang.widths import only_if, sized

__all__ = [
    "Array",
    "BitStruct",
    "Config",
    "Constants",
    "HOLDS",
    "Pool",
    "READ_ONCE",
    "Ref",
    "Struct",
    "WRITE_ONCE",
    "agent",
    "array",
    "atomic",
    "bound",
    "bug_on",
    "choose",
    "cmpxchg",
    "drop",
    "force",
    "lock_order",
    "mutant",
    "only_if",
    "per_thread",
    "pool",
    "protocol",
    "sized",
    "smp_load_acquire",
    "smp_mb",
    "smp_processor_id",
    "smp_rmb",
    "smp_store_release",
    "smp_wmb",
    "swap",
    "thread",
    "thread_index",
    "trace",
    "violates",
    "wait_until",
    "xchg",
]
__all__ += integers.__all__
