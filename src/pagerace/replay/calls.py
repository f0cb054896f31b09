"""System calls on memory, from the words in which strace and valgrind print them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from pagerace.replay.events import Call, TraceError

# Of include/uapi/asm-generic/mman*.h and include/uapi/linux/mman.h, on x86-64.
PROT: Final = {
    "PROT_NONE": 0, "PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4, "PROT_SEM": 8,
    "PROT_GROWSDOWN": 1 << 24, "PROT_GROWSUP": 1 << 25,
}  # fmt: skip
MAP: Final = {
    "MAP_FILE": 0, "MAP_SHARED": 1, "MAP_PRIVATE": 2, "MAP_SHARED_VALIDATE": 3,
    "MAP_FIXED": 0x10, "MAP_ANONYMOUS": 0x20, "MAP_32BIT": 0x40, "MAP_GROWSDOWN": 0x100,
    "MAP_DENYWRITE": 0x800, "MAP_EXECUTABLE": 0x1000, "MAP_LOCKED": 0x2000,
    "MAP_NORESERVE": 0x4000, "MAP_POPULATE": 0x8000, "MAP_NONBLOCK": 0x10000,
    "MAP_STACK": 0x20000, "MAP_HUGETLB": 0x40000, "MAP_SYNC": 0x80000,
    "MAP_FIXED_NOREPLACE": 0x100000,
}  # fmt: skip
MREMAP: Final = {"MREMAP_MAYMOVE": 1, "MREMAP_FIXED": 2, "MREMAP_DONTUNMAP": 4}
MADV: Final = {
    "MADV_NORMAL": 0, "MADV_RANDOM": 1, "MADV_SEQUENTIAL": 2, "MADV_WILLNEED": 3,
    "MADV_DONTNEED": 4, "MADV_FREE": 8, "MADV_REMOVE": 9, "MADV_DONTFORK": 10,
    "MADV_DOFORK": 11, "MADV_MERGEABLE": 12, "MADV_UNMERGEABLE": 13, "MADV_HUGEPAGE": 14,
    "MADV_NOHUGEPAGE": 15, "MADV_DONTDUMP": 16, "MADV_DODUMP": 17, "MADV_WIPEONFORK": 18,
    "MADV_KEEPONFORK": 19, "MADV_COLD": 20, "MADV_PAGEOUT": 21, "MADV_POPULATE_READ": 22,
    "MADV_POPULATE_WRITE": 23, "MADV_DONTNEED_LOCKED": 24, "MADV_COLLAPSE": 25,
}  # fmt: skip
_WORDS: Final = PROT | MAP | MREMAP | MADV | {"NULL": 0}

# The calls that change a process's memory, and how many of their arguments are numbers.
ARGUMENTS: Final = {
    "mmap": 6, "munmap": 2, "mprotect": 3, "mremap": 5, "madvise": 3, "brk": 1,
}  # fmt: skip
FORKS: Final = ("fork", "vfork", "clone", "clone3")
EXITS: Final = ("exit_group", "execve")
NO_FILE: Final = -1
CLONE_VM: Final = 0x100
THREAD_BITS: Final = 16  # of valgrind's own numbers of threads

ERRNO: Final = {
    "EPERM": 1, "ENOENT": 2, "EAGAIN": 11, "ENOMEM": 12, "EACCES": 13, "EFAULT": 14,
    "EBUSY": 16, "EEXIST": 17, "ENODEV": 19, "EINVAL": 22, "ENFILE": 23, "ETXTBSY": 26,
    "EOVERFLOW": 75, "EOPNOTSUPP": 95,
}  # fmt: skip


class WrongCall(ValueError):
    """What is wrong with the text of a call."""


def number(text: str, words: Mapping[str, int] = _WORDS) -> int:
    """``8192``, ``0x7f..``, ``PROT_READ|PROT_WRITE``, ``12<<MAP_HUGE_SHIFT``: a number.

    Raises WrongCall.
    """
    total = 0
    for part in text.split("|"):
        part = part.strip()
        if part in words:
            total |= words[part]
        elif re.fullmatch(r"\d+<<MAP_HUGE_SHIFT", part):
            total |= int(part.partition("<<")[0]) << 26
        else:
            try:
                total |= int(part, 0)
            except ValueError:
                raise WrongCall(f"{part!r} is not a number") from None
    return total


# -- strace --------------------------------------------------------------------------------

_LINE = re.compile(
    r"(?:\[pid +(?P<bracket>\d+)\] +|(?P<pid>\d+) +)?"
    r"(?:(?:\d+:\d+:\d+|\d+)(?:\.\d+)? +(?:\(\+ +[\d.]+\) +)?)?(?P<rest>\S.*)"
)
_CALL = re.compile(
    r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|0x[0-9a-f]+|\?)"
    r"(?:<[^>]*>)?(?: +(?P<errno>E[A-Z]+))?(?: .*)?"
)
_UNFINISHED = re.compile(r"(?P<text>\w+\(.*?),? *<unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>,? ?(?P<text>.*)")
_FILE = re.compile(r"(-?\d+)(?:<(.*)>)?")


def read_strace(lines: Iterable[str], path: str, process: int) -> list[Call]:
    """The calls that ``strace -f -e trace=%memory`` printed (with ``-y``: with file names).

    The first process of the output becomes ``process``; the others keep their numbers.
    Raises TraceError.
    """
    calls: list[Call] = []
    pending: dict[int, str] = {}
    numbers: dict[int, int] = {}
    files = _Files()
    for at, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line.rstrip("\n"))
        if match is None:
            if line.strip():
                raise TraceError(path, at, f"not a line of strace: {shown(line)}")
            continue
        pid = int(match["bracket"] or match["pid"] or 0)
        actor = numbers.setdefault(pid, pid if numbers else process)
        text = match["rest"]
        if text.startswith(("+++", "---", "strace: ")):
            continue
        if unfinished := _UNFINISHED.fullmatch(text):
            pending[pid] = unfinished["text"]
            continue
        if resumed := _RESUMED.fullmatch(text):
            if pid not in pending:
                raise TraceError(path, at, f"{resumed['name']} resumes, but never began")
            text = pending.pop(pid) + resumed["text"]
        found = _CALL.fullmatch(text)
        if found is None:
            raise TraceError(path, at, f"not a line of strace: {shown(line)}")
        try:
            call = _strace_call(found, actor, at, files)
        except WrongCall as error:
            raise TraceError(path, at, f"{found['name']}(): {error}") from None
        if call is not None:
            calls.append(call)
            if call.name == "fork" and call.result > 0:
                numbers[call.result] = call.result
    return calls


def _strace_call(
    found: re.Match[str], actor: int, line: int, files: _Files
) -> Call | None:
    name, text = found["name"], found["arguments"]
    if found["result"] == "?":
        return Call(actor, actor, "exit", (), 0, line) if name in EXITS else None
    result = int(found["result"], 0)
    if found["errno"]:
        result = -ERRNO.get(found["errno"], 1)
    if name in EXITS:
        return Call(actor, actor, "exit", (), 0, line) if result == 0 else None
    if name in FORKS:
        return _forked(actor, text, result, line)
    if name not in ARGUMENTS:
        return None
    parts = text.split(", ")
    path = ""
    if name == "mmap":
        # A file's name may have commas: it is the last but one argument.
        if len(parts) < 6:
            raise WrongCall("six arguments are expected")
        file, parts = ", ".join(parts[4:-1]), [*parts[:4], "", parts[-1]]
        given = _FILE.fullmatch(file)
        if given is None:
            raise WrongCall(f"{file!r} is not a file")
        parts[4] = given[1]
        if int(given[1]) >= 0:
            path = given[2] or files.name(int(given[1]), parts, result)
    arguments = tuple(number(part) for part in parts)
    arguments += (0,) * (ARGUMENTS[name] - len(arguments))
    if len(arguments) != ARGUMENTS[name]:
        raise WrongCall(f"{ARGUMENTS[name]} arguments are expected")
    return Call(actor, actor, name, arguments, result, line, path)


def _forked(actor: int, text: str, result: int, line: int) -> Call | None:
    """A new process or thread; one that shares the memory is a thread."""
    shares = "CLONE_VM" in text and "CLONE_VFORK" not in text
    name = "thread" if shares else "fork"
    return Call(actor, actor, name, (), result, line) if result > 0 else None


class _Files:
    """Names for files where strace printed only numbers, which are used again and again.

    A mapping at a fixed place inside an earlier one of the same number is of the same file.
    """

    def __init__(self) -> None:
        self.known: dict[int, tuple[str, int, int]] = {}
        self.count = 0

    def name(self, file: int, arguments: list[str], result: int) -> str:
        length = number(arguments[1])
        known = self.known.get(file)
        if known and number(arguments[3]) & MAP["MAP_FIXED"]:
            if known[1] <= result < known[2]:
                return known[0]
        self.count += 1
        name = f"file {self.count} (number {file})"
        self.known[file] = (name, result, result + length)
        return name


# -- valgrind ------------------------------------------------------------------------------

_SYSCALL = re.compile(
    r"SYSCALL\[(?P<pid>\d+),(?P<thread>\d+)\]\( *(?P<number>\d+)\) (?P<rest>.*)"
)
_MADE = re.compile(r"(?:sys_)?(?P<name>\w+) ?\((?P<arguments>.*?)\) ?(?P<rest>(?:\[|-->).*)")
_RESULT = re.compile(r".*(?P<how>Success|Failure)\((?P<value>0x[0-9a-f]+)(?::.*)?\) *")
_NAMED = re.compile(r"(?:0x)?[0-9a-f]*\((?P<path>.*)\)")
_FORKED = re.compile(
    r"sys_clone \( (?P<flags>[0-9a-f]+), .*\) +clone\(fork\): "
    r"process \d+ created child (?P<child>\d+)"
)
# What --trace-sched adds to a line that is not complete.
_SCHED = re.compile(r" ?--\d+-- +SCHED\[.*")
_MINUS_ONE = ((1 << 32) - 1, (1 << 64) - 1)


class ValgrindCalls:
    """The lines of ``valgrind --trace-syscalls=yes``, which stand where the calls were made."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.files: dict[int, str] = {}
        self.pending: dict[int, tuple[str, str]] = {}

    def call(self, text: str, line: int) -> Call | None:
        """The call that a line completes, if it is about memory.  Raises WrongCall."""
        match = _SYSCALL.fullmatch(_SCHED.sub("", text))
        if match is None:
            raise WrongCall("it is not as valgrind prints it")
        thread, rest = int(match["thread"]), match["rest"]
        if forked := _FORKED.fullmatch(rest.strip()):
            # One that shares the memory (vfork) copies no page table.
            if int(forked["flags"], 16) & CLONE_VM:
                return None
            return self._call("fork", (), int(forked["child"]), thread, line)
        made = _MADE.fullmatch(rest)
        if made is not None:
            name, arguments, rest = made["name"], made["arguments"], made["rest"]
            self.pending[thread] = name, arguments
        result = _RESULT.fullmatch(rest)
        if result is None or thread not in self.pending:
            return None  # it begins, or there is nothing to know of it
        name, arguments = self.pending.pop(thread)
        value = int(result["value"], 16)
        return self._made(name, arguments, value, result["how"] == "Success", thread, line)

    def thread(self, number: int) -> int:
        """A number for a thread of valgrind's; the first has that of its process."""
        return self.process if number == 1 else self.process << THREAD_BITS | number

    def _call(
        self, name: str, arguments: tuple[int, ...], result: int, thread: int, line: int,
        path: str = "",
    ) -> Call:  # fmt: skip
        return Call(self.process, self.thread(thread), name, arguments, result, line, path)

    def _made(
        self, name: str, text: str, value: int, success: bool, thread: int, line: int
    ) -> Call | None:
        parts = [part.strip() for part in text.split(",")]
        if name in ("open", "openat", "creat") and success:
            named = _NAMED.search(text)
            self.files[value] = named["path"] if named else f"file {value}"
        elif name == "close" and success:
            self.files.pop(_to_int(parts[0]), None)
        if name in ("wait4", "waitid") and success and value:
            return self._call("wait", (), value, thread, line)
        if name == "exit_group":
            return self._call("exit", (), 0, thread, line)
        if name == "clone" and success:
            return self._call("thread", (), value, thread, line)
        if name not in ARGUMENTS:
            return None
        arguments = tuple(_to_int(part) for part in parts)
        arguments += (0,) * (ARGUMENTS[name] - len(arguments))
        if len(arguments) != ARGUMENTS[name]:
            raise WrongCall(f"{ARGUMENTS[name]} arguments are expected")
        path = ""
        if name == "mmap":
            file = arguments[4]
            if file in _MINUS_ONE or arguments[3] & MAP["MAP_ANONYMOUS"]:
                arguments = (*arguments[:4], NO_FILE, arguments[5])
            else:
                path = self.files.get(file, f"file {file}")
        result = value if success else -value
        return self._call(name, arguments, result, thread, line, path)


def _to_int(text: str) -> int:
    try:
        return int(text.partition("(")[0], 0)
    except ValueError:
        raise WrongCall(f"{text!r} is not a number") from None


def shown(line: str, most: int = 50) -> str:
    """A line in a message: quoted, printable, not too long."""
    line = line.rstrip("\n")
    return repr(line if len(line) <= most else line[:most] + "...")
