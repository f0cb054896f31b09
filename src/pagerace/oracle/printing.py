"""A program as C, as Python, and a call as a line of either."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pagerace.oracle import constants as c
from pagerace.oracle.program import (
    WINDOW,
    WINDOW_START,
    Call,
    Exit,
    Fork,
    Ftruncate,
    Load,
    Madvise,
    Mincore,
    Mmap,
    Mprotect,
    Mremap,
    Msync,
    Munmap,
    Pread,
    Program,
    Pwrite,
    Store,
)

_ADVICE_NAMES = {number: name for name, number in c.ADVICES.items()}


def flags_of_mmap(flags: int) -> str:
    kinds = {number: name for name, number in c.MAP_TYPES.items()}
    rest = c.spelled(flags & ~3, c.MAP_FLAGS, "")
    words = [kinds.get(flags & 3, ""), rest]
    return " | ".join(word for word in words if word) or "0"


def _spelled(name: str, call: Call, value: int) -> str:
    """An argument by the kernel's name, where it has one."""
    if name == "prot":
        return c.spelled(value, c.PROTS, "PROT_NONE")
    if name == "advice":
        return _ADVICE_NAMES.get(value, str(value))
    if name == "flags":
        if isinstance(call, Mmap):
            return flags_of_mmap(value)
        return c.spelled(value, c.MREMAPS if isinstance(call, Mremap) else c.MSYNCS)
    return str(value)


def line(call: Call) -> str:
    """``1: mprotect(12, 3, PROT_READ)``: process, call, arguments in pages."""
    name = type(call).__name__.lower()
    shown = [
        (item.name, getattr(call, item.name)) for item in fields(call) if item.name != "actor"
    ]
    if isinstance(call, Mmap) and call.flags & c.MAP_ANONYMOUS:
        shown = [pair for pair in shown if pair[0] not in ("file", "offset")]
    if isinstance(call, Mremap) and not call.flags & c.MREMAP_FIXED:
        shown = [pair for pair in shown if pair[0] != "new_address"]
    words = [
        f"file {value}" if name == "file" else _spelled(name, call, value)
        for name, value in shown
    ]
    return f"{call.actor}: {name}({', '.join(words)})"


def to_python(program: Program) -> str:
    """A script that runs the program on both sides and prints what differs."""
    lines = [
        '"""A program that `pagerace diff` found."""',
        "",
        "from pagerace.oracle.constants import *",
        "from pagerace.oracle.program import *",
        "from pagerace.oracle.session import diff_program",
        "",
        "program = Program(",
        *_files_in_python(program),
        "    calls=(",
        *(f"        {_in_python(call)}," for call in program.calls),
        "    ),",
    ]
    if program.window != WINDOW:
        lines.append(f"    window={program.window},")
    if program.fault_around is not None:
        lines.append(f"    fault_around={program.fault_around},")
    lines += [")", "", "print(diff_program(program))"]
    return "\n".join(lines) + "\n"


def _files_in_python(program: Program) -> list[str]:
    if not program.files:
        return []
    return ["    files=(", *(f"        {file!r}," for file in program.files), "    ),"]


def _in_python(call: Call) -> str:
    words: list[str] = []
    for item in fields(call):
        value = getattr(call, item.name)
        word = _spelled(item.name, call, value)
        words.append(word if item.name == "actor" else f"{item.name}={word}")
    return f"{type(call).__name__}({', '.join(words)})"


def to_c(program: Program) -> str:
    """A C file of its own that does the same calls and prints what is seen after each."""
    prelude = Path(__file__).with_name("prelude.c").read_text(encoding="utf-8")
    head, mark, body = prelude.partition("#define PAGE 4096L")
    numbers = [call.child for call in program.calls if isinstance(call, Fork)]
    sizes = (
        f"#define WINDOW_START {WINDOW_START:#x}L\n#define WINDOW {program.window}\n"
        f"#define PROCESSES {max(numbers, default=0) + 1}\n#define FILES {len(program.files)}\n"
    )
    lines = ["", "int main(void)", "{", "\tset_up();"]
    for number, file in enumerate(program.files):
        kind = int(file.kind == "memfd")
        lines.append(
            f"\tfiles[{number}] = make_file({kind}, {number}, {file.pages}, "
            f"{file.written_in}, {int(file.writable)});"
        )
    lines += _steps(program)
    last = len(program.calls)
    lines += [f"\twait_for({last});", "\treturn 0;", "}"]
    # What a program does not use is no mistake of it.
    unused = '#pragma GCC diagnostic ignored "-Wunused-function"\n'
    return head + unused + sizes + mark + body + "\n".join(lines) + "\n"


def _steps(program: Program) -> list[str]:
    lines: list[str] = []
    parents: dict[int, int] = {}
    alive = {0}
    for step, call in enumerate(program.calls):
        if isinstance(call, Fork):
            parents[call.child] = call.actor
            alive.add(call.child)
            lines.append(f"\tFORK({step}, {call.actor}, {call.child});")
            continue
        if isinstance(call, Exit):
            alive.discard(call.actor)
            parent = parents[call.actor]
            # An orphan is process 0's.
            parents |= {child: 0 for child, of in parents.items() if of == call.actor}
            lines.append(f"\tEXIT({step}, {call.actor}, {parent});")
            continue
        text = line(call).replace('"', "'")
        lines.append(f'\tSTEP({step}, {call.actor}, "{text}",\n\t     {_in_c(call)});')
    return lines


def _in_c(call: Call) -> str:
    """The expression of a call; its value is long."""

    def word(name: str) -> str:
        return _spelled(name, call, getattr(call, name))

    match call:
        case Mmap():
            file = _file(call.file)
            made = (
                f"mmap(AT_PAGE({call.address}), {call.length} * PAGE, {word('prot')}, "
                f"{word('flags')}, {file}, {call.offset} * PAGE)"
            )
            return f"address({made}, {call.length})"
        case Munmap():
            return f"munmap(AT_PAGE({call.address}), {call.length} * PAGE)"
        case Mprotect():
            return f"mprotect(AT_PAGE({call.address}), {call.length} * PAGE, {word('prot')})"
        case Mremap():
            made = (
                f"mremap(AT_PAGE({call.address}), {call.old_length} * PAGE, "
                f"{call.new_length} * PAGE, {word('flags')}, AT_PAGE({call.new_address}))"
            )
            return f"address({made}, {call.new_length})"
        case Madvise():
            return f"madvise(AT_PAGE({call.address}), {call.length} * PAGE, {word('advice')})"
        case Msync():
            return f"msync(AT_PAGE({call.address}), {call.length} * PAGE, {word('flags')})"
        case Mincore():
            return f"pages_in_memory(AT_PAGE({call.address}), {call.length})"
        case Ftruncate():
            return f"ftruncate({_file(call.file)}, {call.pages} * PAGE)"
        case Pwrite():
            return f"write_page({_file(call.file)}, {call.index}, {call.value})"
        case Pread():
            return f"read_page({_file(call.file)}, {call.index})"
        case Load():
            return f"*(volatile int64_t *)AT_PAGE({call.page})"
        case Store():
            pointer = f"(int64_t *)AT_PAGE({call.page})"
            # One instruction: lock addq.
            return f"(__atomic_fetch_add({pointer}, {call.addend}, __ATOMIC_SEQ_CST), 0)"
        case _:
            raise ValueError(call)


def _file(number: int) -> str:
    return f"file({number})"
