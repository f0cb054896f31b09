"""ptrace(), as far as driving a subject needs it.  Linux on x86-64; see ptrace(2).

All requests have to come from the thread that seized: the kernel knows tracers by thread.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

_CONT, _GETREGS, _SETREGS = 7, 12, 13
_GETEVENTMSG, _GETSIGINFO, _SEIZE, _INTERRUPT = 0x4201, 0x4202, 0x4206, 0x4207
_TRACEFORK, _TRACECLONE, _EXITKILL = 1 << 1, 1 << 3, 1 << 20
EVENT_FORK, EVENT_CLONE, EVENT_STOP = 1, 3, 128
WALL = 0x4000_0000


class Registers(ctypes.Structure):
    """struct user_regs_struct."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx",
            "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base",
            "gs_base", "ds", "es", "fs", "gs",
        )
    )  # fmt: skip


class SigInfo(ctypes.Structure):
    """The head of siginfo_t of a fault."""

    _fields_ = (
        ("signo", ctypes.c_int32),
        ("errno", ctypes.c_int32),
        ("code", ctypes.c_int32),
        ("pad", ctypes.c_int32),
        ("address", ctypes.c_uint64),
        ("rest", ctypes.c_uint8 * 104),
    )


@functools.cache
def _function() -> Any:
    function = ctypes.CDLL(None, use_errno=True).ptrace
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    return function


def _request(number: int, pid: int, address: int, data: int) -> None:
    """Raises OSError; ESRCH: it is not stopped, or dead."""
    if _function()(number, pid, address, data) == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def seize(pid: int) -> None:
    """Begin to trace; its children are traced too, and all are killed when we end."""
    _request(_SEIZE, pid, 0, _TRACEFORK | _TRACECLONE | _EXITKILL)


def interrupt(pid: int) -> None:
    _request(_INTERRUPT, pid, 0, 0)


def resume(pid: int) -> None:
    """Go on, without the signal that it stopped for."""
    _request(_CONT, pid, 0, 0)


def read_registers(pid: int, registers: Registers) -> None:
    _request(_GETREGS, pid, 0, ctypes.addressof(registers))


def write_registers(pid: int, registers: Registers) -> None:
    _request(_SETREGS, pid, 0, ctypes.addressof(registers))


def signal_info(pid: int) -> SigInfo:
    info = SigInfo()
    _request(_GETSIGINFO, pid, 0, ctypes.addressof(info))
    return info


def event_message(pid: int) -> int:
    """Of a fork event: the child's pid."""
    message = ctypes.c_ulong()
    _request(_GETEVENTMSG, pid, 0, ctypes.addressof(message))
    return message.value
