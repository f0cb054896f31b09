"""Traces of each format as text or bytes, and what a reader makes of them."""

from __future__ import annotations

import struct
from pathlib import Path

from pagerace.replay.events import Batch, Call, Event, Mapping, TraceError, unpack
from pagerace.replay.lines import Reader
from pagerace.replay.reader import Trace

LACKEY = """\
==77== Lackey, an example Valgrind tool
I  0401ab70,3
 S 1fff000778,8
SYSCALL[77,1](257) sys_openat ( 4294967196, 0x4834f10(/lib/libc.so.6), 524288 ) --> [async] ...
SYSCALL[77,1](257) ... [async] --> Success(0x4)
I  0401ab73,5
SYSCALL[77,1](9) sys_mmap ( 0x0, 8192, 1, 2050, 4, 4096 ) --> [pre-success] Success(0x4837000)
 L 04837010,8
 M 04033e06,1
SYSCALL[77,1](334) unimplemented (by the kernel) syscall: 334! (ni_syscall)
 --> [pre-fail] Failure(0x26)
SYSCALL[77,1](11) sys_munmap ( 0x4837000, 8192 )[sync] --> Success(0x0)
SYSCALL[77,1](3) sys_close ( 4 )[sync] --> Success(0x0)
SYSCALL[77,1](10) sys_mprotect ( 0x4836000, 4096, 1 )[sync] --> Failure(0xc)

 L 00400000,200
 L ffffffffff600000,8
==77== Exit code:       0
"""

VIEW = """\
Output format:
<--record#-> <--instr#->: <---tid---> <record details>
------------------------------------------------------------
           1           0:     2765542 <marker: version 5>
       47742       37769:     2765543 ifetch       6 byte(s) @ 0x0000000000404a78 0f 84 jz $0x
       47743       37770:     2765543 ifetch       10 byte(s) @ 0x0000000000404a7e 48 8b 5c 24
                                                                       00 00  mov   8(%rsp)
       47744       37770:     2765543 read         8 byte(s) @ 0x00007fdf64e2adc8 by PC 0x404a7e
------------------------------------------------------------
       47745       37770:     2765542 write        4 byte(s) @ 0x00007fdf64e2add0 by PC 0x404a7e
       47746       37770:     2765542 <marker: system call 99>
View tool results:
              8 : total instructions
"""

OLD_VIEW = """\
   173369: T1774669 ifetch       3 byte(s) @ 0x0000000000402680 f3 48 a5             rep movsq
   173370: T1774669 read         8 byte(s) @ 0x00007f8881e37c70 by PC 0x0000000000402680
"""

SIMPLE = """\
Format: <data address>: <data size>, <(r)ead/(w)rite/opcode>
0x0000000000404a78:  6, jz
0x00007fdf64e2adc8:  8, r
0x00007fdf64e2add0:  4, w
"""

X86 = """\
Format: <instr address>,<(r)ead/(w)rite>,<data size>,<data address>
0x00404a78,r,8,0x7fdf64e2adc8
0x00404a7e,w,4,0x7fdf64e2add0
"""

PERF = """\
# comment
     ls 29833 [001] 22463.361876: exceptions:page_fault_user: address=0x40ab70 ip=0x40ab70 error_code=0x14
   a  b 7/29 [001] 22463.361881: exceptions:page_fault_user: address=0x463e06 ip=0x44b7ad error_code=0x6
   a  b 7/29 [001] 22463.361885: exceptions:page_fault_user: address=0x462a80 ip=main+0x7 error_code=0x4
   a  b 7/29 [001] 22463.361888:      1 sched:sched_switch: prev_comm=x
"""  # noqa: E501


def entry(type: int, size: int, address: int) -> bytes:
    """An entry of a DynamoRIO offline trace."""
    return struct.pack("<HHQ", type, size, address)


ENTRIES = b"".join([
    entry(25, 0, 5), entry(22, 4, 500), entry(24, 4, 400), entry(28, 0, 5),
    entry(47, 4, 0xA5F3), entry(10, 3, 0x402680), entry(0, 8, 0x7F8881E37C70),
    entry(1, 8, 0x7F8881E37A70), entry(1, 0, 0x77),
    entry(29, 3, 0x402680), entry(49, 2, 0x402683),
    entry(17, 2, 0x0504), entry(4, 64, 0x7F8881E37C80), entry(22, 4, 501),
    entry(0, 100, 0x7F8881E37FF0), entry(23, 4, 501), entry(26, 0, 0),
])  # fmt: skip


def instruction(ip: int, stores: tuple[int, int], loads: tuple[int, int, int, int]) -> bytes:
    """An instruction of a ChampSim trace."""
    return struct.pack("<Q8B2Q4Q", ip, 0, 1, 26, 0, 6, 25, 0, 0, *stores, *loads)


CHAMPSIM = instruction(0x402680, (0x7F00, 0), (0x6F00, 0, 0x6F08, 0)) + instruction(
    0x402684, (0, 0), (0, 0, 0, 0)
)

Record = tuple[int, int, int, int, int]
Found = Record | Call | Mapping


def flat(events: list[Event]) -> list[Found]:
    """Events without their cut into batches: (process, thread, address, size, kind)."""
    found: list[Found] = []
    for event in events:
        if isinstance(event, Batch):
            found += [(event.process, event.thread, *unpack(r)) for r in event.records]
        else:
            found.append(event)
    return found


def drain(reader: Reader | Trace) -> tuple[list[Found], TraceError | None]:
    """All events, and the error at their end."""
    found: list[Found] = []
    try:
        for event in reader.events():
            found += flat([event])
    except TraceError as error:
        return found, error
    return found, None


def read(path: Path, content: bytes | str) -> tuple[list[Found], TraceError | None]:
    """What is read of a file with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        trace = Trace(str(path))
    except TraceError as error:
        return [], error
    try:
        return drain(trace)
    finally:
        trace.close()
