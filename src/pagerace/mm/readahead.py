"""How much of a file is read ahead of who wants it: mm/readahead.c, and some of mm/filemap.c.

There is mmap read-around, and nothing that reads ahead of a sequence (PG_readahead).
"""

from __future__ import annotations

from pagerace.lang import Config
from pagerace.mm.mm_types import address_space

MMAP_LOTSAMISS = 100


class Readahead(Config):
    """``mmap``: there is any.  ``ra_pages``: VM_READAHEAD_PAGES."""

    mmap: bool = False
    ra_pages: int = 32


def mmap_miss_inc(mapping: address_space) -> bool:
    """A fault did not find its page: should those around it be read as well?

    Not where that has hardly ever helped.
    """
    if mapping.mmap_miss < MMAP_LOTSAMISS * 10:
        mapping.mmap_miss += 1
    return mapping.mmap_miss <= MMAP_LOTSAMISS


def mmap_miss_dec(mapping: address_space) -> None:
    """A fault has found its page, or mapped one around it that was there."""
    if mapping.mmap_miss != 0:
        mapping.mmap_miss -= 1
