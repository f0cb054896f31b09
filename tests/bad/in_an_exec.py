"""A function without source text."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


namespace = {"page": page}
exec("def unmap() -> None:\n    page.mapcount = 0", namespace)
unmap = namespace["unmap"]


claim = protocol(threads=[thread(unmap, cpu=0), thread(unmap, cpu=1)])
