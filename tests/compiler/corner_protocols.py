"""Small protocols whose verdict hangs on one rule of the language each."""

# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportReturnType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from pagerace.lang import (
    Array,
    Ref,
    Struct,
    array,
    choose,
    per_thread,
    pool,
    protocol,
    thread,
    u8,
    violates,
)


class Lock(Struct):
    n: u8


class Page(Struct):
    lock: Lock
    a: u8
    b: u8
    next: Page | None


class Holder(Struct):
    page: Ref[Page]


class Task(Struct):
    n: u8


pages = pool(Page, 2)
page = Page()
holder = Holder()
tasks = per_thread(Task)
shared_task = Task()


def increment(target: Page) -> None:
    x = target.a
    target.a = x + 1


def pool_counts() -> bool:
    return pages[0].a == 2


def increment_lock(target: Lock) -> None:
    x = target.n
    target.n = x + 1


def lock_counts() -> bool:
    return page.lock.n == 2


def forget() -> None:
    page.next = None


def null_of_conditional() -> None:
    q = pages[0] if page.a == 1 else None
    q.a = 3


def null_in_variable() -> None:
    q = pages[0]
    q = q.next
    q.a = 3


def another(p: Page) -> None:
    if page.b == 1:
        p = pages[1]
    p.a = 1


def null_in_parameter() -> None:
    another(page.next)


def get() -> Page:
    if page.b == 3:
        return pages[1]
    return page.next


def null_of_call() -> None:
    get().a = 3


def null_in_ref() -> None:
    holder.page = page.next
    holder.page.a = 3


def null_index() -> None:
    page.a = u8(pages.index(page.next))


def publish() -> None:
    page.b = 1
    page.a = 1


def left_is_read_first() -> None:
    assert not page.a > page.b >= 0


def greater(x: u8, y: u8) -> bool:
    return y > x


def arguments_are_read_as_written() -> None:
    assert not greater(y=page.a, x=page.b)


def private_and_shared() -> None:
    tasks.current.n = shared_task.n


def writing() -> bool:
    page.a = 9
    return True


def choosing() -> bool:
    return choose(2) == 0


def choosing_setup() -> None:
    page.a = u8(choose(3))


VERDICTS = {
    "pool_member": protocol(
        threads=[thread(increment, pages[0]), thread(increment, pages[0])],
        at_end=[pool_counts],
        expect=violates(pool_counts),
    ),
    "embedded": protocol(
        threads=[thread(increment_lock, page.lock), thread(increment_lock, page.lock)],
        at_end=[lock_counts],
        expect=violates(lock_counts),
    ),
    **{
        function.__name__: protocol(
            threads=[thread(function), thread(forget)], expect=violates("null-dereference")
        )
        for function in (
            null_of_conditional,
            null_in_variable,
            null_in_parameter,
            null_of_call,
            null_in_ref,
            null_index,
        )
    },
    **{
        function.__name__: protocol(threads=[thread(publish), thread(function)])
        for function in (left_is_read_first, arguments_are_read_as_written)
    },
}

REFUSED = {
    "private_and_shared": protocol(threads=[thread(private_and_shared)]),
    "writing": protocol(threads=[thread(publish)], always=[writing]),
    "choosing": protocol(threads=[thread(publish)], always=[choosing]),
    "choosing_setup": protocol(threads=[thread(publish)], setup=choosing_setup),
}


class TableToWalk(Struct):
    entry: Array[u8] = array(2)


class MmWithTables(Struct):
    pgd: TableToWalk | None


tables_to_walk = pool(TableToWalk, 1)
mm_with_tables = MmWithTables()


def store_entry() -> None:
    mm_with_tables.pgd.entry[1] = 3


def find_table() -> None:
    mm_with_tables.pgd = tables_to_walk[0]


ELEMENT_STORE = protocol(
    threads=[thread(store_entry), thread(find_table)],
    setup=find_table,
)
