"""The hardware: memory, page-table entries, TLBs, interrupts.

What a reader must believe about processors is written here, and nothing else.  The
facts are those of x86 unless a parameter of ``Machine`` says otherwise.
"""
