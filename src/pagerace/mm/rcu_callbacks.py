"""What call_rcu() was asked for: rcu_core() of kernel/rcu/tree.c, where Rcu.callbacks is set.

All that is ever asked for is that a table is freed: pte_free_now() of mm/pgtable-generic.c,
tlb_remove_table_rcu() of mm/mmu_gather.c.
"""

from __future__ import annotations

from pagerace.lang import atomic, choose, wait_until
from pagerace.machine.tables import page_tables, upper_tables
from pagerace.mm.pgalloc import free_page_table, pt_rcu_heads
from pagerace.mm.rcupdate import quiescent_since


def rcu_core() -> None:
    """Agent: RCU_SOFTIRQ, of all CPUs: a grace period gets on, or a callback is called.

    A step looks at all CPUs for which one callback waits.  In between a CPU can leave a
    reader and be in another unseen, as it can while RCU does not look.
    """
    while True:
        with atomic():
            number = choose(len(pt_rcu_heads))
            head = pt_rcu_heads[number]
            seen = quiescent_since(head)
            wait_until(head.queued and (head.waiting == 0 or seen != 0))
            head.waiting &= ~seen
            if head.waiting == 0:
                head.queued = False
                if number < len(page_tables):
                    free_page_table(page_tables[number])
                else:
                    upper_tables.free(upper_tables[number - len(page_tables)])


def rcu_barrier() -> None:
    """rcu_barrier(): wait until all callbacks have been called that were asked for."""
    for head in pt_rcu_heads:
        wait_until(not head.queued)
