"""The program of a subject: an ELF file of one page, made here byte by byte.

A subject is a process that another one drives: each operation is one instruction in it, and
an ``int3`` behind that gives control back.  So it needs no stack, no data and no library, no
compiler has to be installed, and nothing but the instruction itself can fault.
"""

from __future__ import annotations

import struct

# Above the window, so that a reader of smaps has seen the window before it comes here.
TEXT = 0x7000_0000_0000
SCRATCH = TEXT + 0x10_0000

_BEGIN = bytes.fromhex(
    "bf 01 00 00 00"  # mov  edi, PR_SET_PDEATHSIG
    "be 09 00 00 00"  # mov  esi, SIGKILL: while nobody traces it yet
    "b8 9d 00 00 00"  # mov  eax, prctl
    "0f 05"  #          syscall
    "b8 22 00 00 00"  # mov  eax, pause
    "0f 05"  #          syscall
    "eb f7"  #          jmp  to the second mov eax
)
_SYSCALL = bytes.fromhex("0f 05 cc")  # syscall; int3
_LOAD = bytes.fromhex("48 8b 07 cc")  # mov rax, [rdi]; int3
_ADD = bytes.fromhex("f0 48 01 37 cc")  # lock add [rdi], rsi; int3
# A list of rcx addresses at rsi becomes a list of what is there.
_GATHER = bytes.fromhex(
    "48 8b 06"  #    mov  rax, [rsi]
    "48 8b 00"  #    mov  rax, [rax]
    "48 89 06"  #    mov  [rsi], rax
    "48 83 c6 08"  # add  rsi, 8
    "48 ff c9"  #    dec  rcx
    "75 ee"  #       jnz  to the first
    "cc"
)
_HEADERS = 64 + 2 * 56
_BASE = TEXT + _HEADERS
SYSCALL = _BASE + len(_BEGIN)
LOAD = SYSCALL + len(_SYSCALL)
ADD = LOAD + len(_LOAD)
GATHER = ADD + len(_ADD)


def image() -> bytes:
    """The ELF file, of x86-64: one segment to read and run, and a stack that is not run."""
    code = _BEGIN + _SYSCALL + _LOAD + _ADD + _GATHER
    size = _HEADERS + len(code)
    executable, x86_64, version = 2, 62, 1
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = identity + struct.pack(
        "<HHIQQQIHHHHHH", executable, x86_64, version, _BASE, 64, 0, 0, 64, 56, 2, 64, 0, 0
    )
    load, gnu_stack, run, write, read = 1, 0x6474E551, 1, 2, 4
    text = struct.pack("<IIQQQQQQ", load, read | run, 0, TEXT, TEXT, size, size, 4096)
    stack = struct.pack("<IIQQQQQQ", gnu_stack, read | write, 0, 0, 0, 0, 0, 16)
    return header + text + stack + code
