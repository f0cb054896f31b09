"""What an author of kernel Python imports.  Standard library only."""

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
