"""A string in shared memory."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


class Task(Struct):
    comm: str


task = Task()


def unmap() -> None:
    task.comm = "kswapd"


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
