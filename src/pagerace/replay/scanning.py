"""From the bytes of a trace to records, in kernel Python: what has to be quick.

All functions share their form: they read ``text[start:end]`` and append records to
``records``, until the text ends, there is no more room, or something comes that Python
has to look at.  They return how far they came, and say why in ``control[REASON]``.
"""

from __future__ import annotations

from typing import Final

from pagerace.lang.direct import ptr
from pagerace.lang.integers import u8, u64

# Words of ``control``.
FILL: Final = 0  # records in the buffer; kept
ROOM: Final = 1  # records that the buffer takes
LINES: Final = 2  # lines, or entries of a binary trace, behind us; kept
OUTSIDE: Final = 3  # accesses beyond the user's addresses, left out; kept
REASON: Final = 4
VALUE: Final = 5  # of the entry that Python has to look at
CONTROL_WORDS: Final = 8

END: Final = 0  # all text is read
FULL: Final = 1  # no room for more records
OTHER: Final = 2  # a line or entry that is no access starts here

ADDRESS_LIMIT: Final = 0x100000000000000
ACCESS_MAX: Final = 65_536  # bytes of one access: a page-table's worth is no access

NEWLINE: Final = 10
SPACE: Final = 32
COMMA: Final = 44
LETTER_I: Final = 73
LETTER_L: Final = 76
LETTER_M: Final = 77
LETTER_S: Final = 83
NOT_HEX: Final = 16


def hex_digit(byte: u64) -> u64:
    """The value of a hexadecimal digit; NOT_HEX for any other byte."""
    if byte - 48 < 10:
        return byte - 48
    letter: u64 = (byte | 32) - 97
    if letter < 6:
        return letter + 10
    return NOT_HEX


def append(records: ptr[u64], control: ptr[u64], address: u64, size: u64, kind: u64) -> u64:
    """Add the records of one access; 0 if there is no room for all of them."""
    if address >= ADDRESS_LIMIT:
        control[OUTSIDE] = control[OUTSIDE] + 1
        return 1
    fill: u64 = control[FILL]
    if size == 0:
        return 1  # it touches nothing
    if size <= 64:
        if fill == control[ROOM]:
            return 0
        records[fill] = (address << 8) | ((size - 1) << 2) | kind
        control[FILL] = fill + 1
        return 1
    if fill + ((size + 63) >> 6) > control[ROOM]:
        return 0
    while size > 0:
        part: u64 = min(size, 64)
        records[fill] = (address << 8) | ((part - 1) << 2) | kind
        fill += 1
        address += part
        size -= part
    control[FILL] = fill
    return 1


def scan_lackey(
    text: ptr[u8], start: u64, end: u64, records: ptr[u64], control: ptr[u64]
) -> u64:
    """Lines such as ``I  0401ab70,3`` and `` S 1fff000778,8``; the text ends in a newline.

    That makes every loop end: a newline is neither a digit nor what a line may start with.
    """
    control[REASON] = END
    position: u64 = start
    while position < end:
        first: u64 = u64(text[position])
        kind: u64 = 0
        if first == NEWLINE:
            break
        second: u64 = u64(text[position + 1])
        if first == LETTER_I:
            if second != SPACE:
                break
        elif first != SPACE:
            break
        elif second == LETTER_L:
            kind = 1
        elif second == LETTER_S:
            kind = 2
        elif second == LETTER_M:
            kind = 3
        else:
            break
        if text[position + 2] != SPACE:
            break
        at: u64 = position + 3
        digit: u64 = hex_digit(u64(text[at]))
        if digit == NOT_HEX:
            break
        address: u64 = 0
        while digit != NOT_HEX:
            if address >> 60 != 0:
                break
            address = (address << 4) | digit
            at += 1
            digit = hex_digit(u64(text[at]))
        if text[at] != COMMA:
            break
        at += 1
        size: u64 = 0
        digit = u64(text[at]) - 48
        while digit < 10 and size < ACCESS_MAX:
            size = size * 10 + digit
            at += 1
            digit = u64(text[at]) - 48
        if text[at] != NEWLINE or size == 0 or size > ACCESS_MAX:
            break
        if append(records, control, address, size, kind) == 0:
            control[REASON] = FULL
            return position
        control[LINES] = control[LINES] + 1
        position = at + 1
    if position < end:
        control[REASON] = OTHER
    return position


def word(text: ptr[u8], at: u64) -> u64:
    """Eight bytes, the lowest first, wherever they lie."""
    value: u64 = 0
    for byte in range(8):
        value |= u64(text[at + byte]) << (byte * 8)
    return value


ENTRY: Final = 12  # bytes of DynamoRIO's trace_entry_t: u16 type, u16 size, u64 address
# What an entry is, after clients/drcachesim/common/trace_entry.h of DynamoRIO.
ENTRY_READ: Final = 0
ENTRY_WRITE: Final = 1
ENTRY_INSTR_BUNDLE: Final = 17
ENTRY_THREAD: Final = 22
ENTRY_PID: Final = 24
ENTRY_HEADER: Final = 25
ENTRY_LAST: Final = 63  # later versions add types; none of them is an access
# One instruction that is fetched: INSTR to INSTR_RETURN, MAYBE_FETCH, SYSENTER, and the
# jumps that were taken or not.
FETCHES: Final = sum(1 << type for type in (*range(10, 17), 30, 31, 48, 49))
# What Python looks at: THREAD, THREAD_EXIT, PID, HEADER and FOOTER.
SIGNPOSTS: Final = sum(1 << type for type in range(22, 27))


def append_bundle(
    text: ptr[u8], at: u64, count: u64, records: ptr[u64], control: ptr[u64]
) -> u64:
    """The instructions behind the last one, whose lengths are the entry's eight bytes."""
    if control[FILL] + 8 > control[ROOM]:
        return 0
    for index in range(min(count, 8)):
        size: u64 = u64(text[at + index])
        if size != 0:
            append(records, control, control[VALUE], size, 0)
            control[VALUE] = control[VALUE] + size
    return 1


def scan_entries(
    text: ptr[u8], start: u64, end: u64, records: ptr[u64], control: ptr[u64]
) -> u64:
    """DynamoRIO's offline traces; the text is a whole number of entries.

    Stops at what names a thread, a process or an end, and at what is no entry.
    ``control[VALUE]`` is the address behind the last instruction.
    """
    control[REASON] = END
    position: u64 = start
    while position < end:
        type: u64 = u64(text[position]) | (u64(text[position + 1]) << 8)
        size: u64 = u64(text[position + 2]) | (u64(text[position + 3]) << 8)
        address: u64 = word(text, position + 4)
        added: u64 = 1
        if type > ENTRY_LAST or ((u64(SIGNPOSTS) >> type) & 1) != 0:
            control[REASON] = OTHER
            return position
        if type == ENTRY_READ:
            added = append(records, control, address, size, 1)
        elif type == ENTRY_WRITE:
            added = append(records, control, address, size, 2)
        elif ((u64(FETCHES) >> type) & 1) != 0:
            added = append(records, control, address, size, 0)
            if added != 0:
                control[VALUE] = address + size
        elif type == ENTRY_INSTR_BUNDLE:
            added = append_bundle(text, position + 4, size, records, control)
        if added == 0:
            control[REASON] = FULL
            return position
        control[LINES] = control[LINES] + 1
        position += ENTRY
    return position


INSTRUCTION: Final = 64  # bytes of ChampSim's input_instr
FLAGS_AT: Final = 8  # two bytes: is it a branch, was it taken
STORES_AT: Final = 16  # two addresses, 0 where there is none
LOADS_AT: Final = 32  # four


def scan_champsim(
    text: ptr[u8], start: u64, end: u64, records: ptr[u64], control: ptr[u64]
) -> u64:
    """ChampSim's traces; the text is a whole number of instructions.

    Sizes are not in the trace.  Each access counts as one byte, so that none crosses a page.
    """
    control[REASON] = END
    position: u64 = start
    while position < end:
        if text[position + FLAGS_AT] > 1 or text[position + FLAGS_AT + 1] > 1:
            control[REASON] = OTHER
            return position
        if control[FILL] + 7 > control[ROOM]:
            control[REASON] = FULL
            return position
        append(records, control, word(text, position), 1, 0)
        for number in range(4):
            load: u64 = word(text, position + LOADS_AT + number * 8)
            if load != 0:
                append(records, control, load, 1, 1)
        for number in range(2):
            store: u64 = word(text, position + STORES_AT + number * 8)
            if store != 0:
                append(records, control, store, 1, 2)
        control[LINES] = control[LINES] + 1
        position += INSTRUCTION
    return position
