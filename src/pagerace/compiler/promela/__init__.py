"""The flat IR as Promela, for Spin to search: an independent check of the search."""

from pagerace.compiler.promela.terms import Inexpressible
from pagerace.compiler.promela.writer import write

__all__ = ["Inexpressible", "write"]
