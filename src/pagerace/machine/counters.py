"""What a run counts: translations, walks, flushes, faults, locks.

No machine has these, and nothing in ``machine/`` or ``mm/`` reads them.  Each stands behind
``if Counting.on``, so that a check has nothing of them.

TRUSTED: a count stands where what is counted happens.
"""

from __future__ import annotations

from pagerace.lang import Array, Config, Struct, array, u64


class Counting(Config):
    """``on``: count."""

    on: bool = False


# Levels of tables, by their numbers: 1 is that of PTEs, 5 that of a PGD of five levels.
LEVELS = 6
# Classes of locks: see LockClass in mm/lockdep.py.
LOCK_CLASSES = 16


class counters_t(Struct):
    """Everything since the start, or since somebody wrote zeros.

    ``accesses``: instructions that were tried, once more after each fault.  What is neither in
    ``l2_hits`` nor in ``tlb_misses`` was found in a first-level TLB.
    ``walk_references[n]``: entries that the walker loaded at level n; ``walk_saved[n]``: that
    it need not load, because a paging-structure cache knew where they lead.
    ``accessed_set``, ``dirty_set``: locked RMWs by which the walker set a bit.
    ``tables_allocated[n]``, ``tables_freed[n]``: page tables of level n.
    ``flushes_page`` to ``flushes_all``: what a CPU was told to forget: a page, several
    (``pages_flushed`` in all), everything.  ``cr3_writes``: all forgotten by a switch.

    ``faults``: page faults; each is one of those below it, and ``major`` ones wait for a disk.
    ``accounted``: what a process is told of, major ones too: also those of pages that
    were only populated, and none that ended in a signal.
    ``faults_gone``: the entry was there, or another one, when it was looked at again.
    ``around_mapped``: PTEs that fault-around made beside that of the fault; ``around_used``: of
    them those whose page was accessed through them before they went, ``around_unused``: not.
    ``locks[n]``: how often a lock of class n was taken.  ``atomics``: locked instructions of
    the kernel on counts, flags and entries, those of locks not among them.
    """

    accesses: u64
    l2_hits: u64
    tlb_misses: u64
    walk_references: Array[u64] = array(lambda: LEVELS)
    walk_saved: Array[u64] = array(lambda: LEVELS)
    accessed_set: u64
    dirty_set: u64
    tables_allocated: Array[u64] = array(lambda: LEVELS)
    tables_freed: Array[u64] = array(lambda: LEVELS)
    flushes_page: u64
    flushes_range: u64
    flushes_all: u64
    pages_flushed: u64
    cr3_writes: u64
    ipis_sent: u64
    ipis_handled: u64
    faults: u64
    faults_major: u64
    accounted: u64
    faults_anonymous: u64
    faults_zero_page: u64
    faults_read_file: u64
    faults_around: u64
    faults_write_shared: u64
    faults_cow: u64
    faults_reused: u64
    faults_huge: u64
    faults_gone: u64
    faults_sigsegv: u64
    faults_sigbus: u64
    faults_no_memory: u64
    around_mapped: u64
    around_used: u64
    around_unused: u64
    locks: Array[u64] = array(lambda: LOCK_CLASSES)
    atomics: u64


counters = counters_t()
