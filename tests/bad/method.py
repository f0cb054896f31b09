"""A method of a structure."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, wait_until


class Page(Struct):
    dirty: bool
    mapcount: u8


page = Page()


class Folio(Struct):
    mapcount: u8

    def unmap(self) -> None:
        self.mapcount = 0


folio = Folio()

claim = protocol(threads=[thread(folio.unmap, cpu=0)])
