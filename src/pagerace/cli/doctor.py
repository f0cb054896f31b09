"""``pagerace doctor``: what this machine has, and whether pagerace works on it."""

from __future__ import annotations

import argparse
import importlib.util
import mmap
import os
import platform
import sys
import time
from pathlib import Path
from shutil import which

from pagerace.cli.arguments import Parser
from pagerace.cli.errors import INTERNAL, USAGE
from pagerace.cli.terminal import Terminal, colourful
from pagerace.report.words import duration, size


def add_arguments(parser: Parser) -> None:
    """``doctor`` has no options."""


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print what was found; 2 if something is missing, 4 if the smoke check fails."""
    from pagerace import __version__

    rows = [("pagerace", __version__)]
    rows.append(("Python", f"{platform.python_version()}, {sys.platform} {platform.machine()}"))
    llvm, has_llvm = _llvm()
    rows.append(("llvmlite", llvm))
    rows.append(("cores", f"{_cores()} usable"))
    rows.append(("memory", _memory()))
    rows.append(("cache", _cache() if has_llvm else "not used"))
    rows.append(("terminal", _terminal()))
    smoke, works = _smoke() if has_llvm else ("not run", False)
    rows.append(("check", smoke))
    rows.append(("replay", _replay() if has_llvm else "not possible without llvmlite"))
    rows.append(("diff", _diff() if has_llvm else "not possible without llvmlite"))
    terminal.out("\n".join(_row(name, words) for name, words in rows))
    if not has_llvm:
        terminal.error("error: llvmlite is missing; pip install llvmlite")
        return USAGE
    return 0 if works else INTERNAL


def _row(name: str, words: str) -> str:
    return f"{name:<9} " + words.replace("\n", "\n" + " " * 10)


def _llvm() -> tuple[str, bool]:
    try:
        import llvmlite
        from llvmlite import binding
    except ImportError as error:
        return f"missing ({error})", False
    version = ".".join(map(str, binding.llvm_version_info))
    return f"{llvmlite.__version__}, LLVM {version}, {binding.get_host_cpu_name()}", True


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> str:
    """Free and total, of Linux; elsewhere it is not known without a further package."""
    try:
        rows = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return "not known on this system"
    kilobytes = {row.split(":")[0]: int(row.split()[1]) for row in rows if row.endswith("kB")}
    free, total = kilobytes["MemAvailable"] * 1024, kilobytes["MemTotal"] * 1024
    return f"{size(free)} free of {size(total)}"


def _cache() -> str:
    from pagerace.api import cache_folder

    found = cache_folder()
    if found is None:
        return "no folder that is safe to write to: each check compiles afresh"
    writable = "writable" if os.access(found, os.W_OK) else "not writable: nothing is added"
    return f"{found} ({writable})"


def _terminal() -> str:
    if not sys.stdout.isatty():
        return "stdout is not a terminal: plain text"
    columns = os.get_terminal_size(sys.stdout.fileno()).columns
    return f"{columns} columns, {'colour' if colourful(sys.stdout) else 'no colour'}"


def _smoke() -> tuple[str, bool]:
    """A small race must be found."""
    from pagerace.api import check
    from pagerace.cli.smoke import lost_update

    start = time.monotonic()
    try:
        summary = check(lost_update, claim="smoke::lost_update")
    except Exception as error:
        return f"FAILED: {type(error).__name__}: {error}", False
    if not summary.as_expected:
        return f"FAILED: the verdict on a lost update is {summary.verdict}", False
    return f"a lost update is found, {duration(time.monotonic() - start)}", True


def _replay() -> str:
    """What can be read, what can make a trace, and is there room for a large machine?"""
    modules = {"gzip": "zlib", "xz": "_lzma"}  # Python can be built without them
    read = [name for name, module in modules.items() if importlib.util.find_spec(module)]
    makers = ("valgrind", "drrun", "perf", "strace")
    here = [tool for tool in makers if which(tool)]
    lines = [f"traces are read as text, {', '.join(read)}" if read else "no compressed traces"]
    lines.append(f"in PATH to make traces: {', '.join(here) or 'no tool'}")
    if absent := [tool for tool in makers if tool not in here]:
        lines[-1] += f"; not there: {', '.join(absent)}"
    if problem := _no_room():
        lines.append(problem)
    return "\n".join(lines)


def _no_room() -> str:
    """Tables of a machine of full size are memory that is asked for and seldom touched."""
    wanted = 16 << 30
    try:
        flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
        mmap.mmap(-1, wanted, flags=flags).close()
    except (OSError, AttributeError, ValueError) as error:
        return f"{size(wanted)} of memory cannot be reserved ({error}): use a smaller --memory"
    return ""


def _diff() -> str:
    """Which judge runs here, and what it does not see."""
    from pagerace.oracle.permitted import permitted
    from pagerace.oracle.program import KINDS

    found = permitted()
    if reason := found.refused.get("processes"):
        return f"not possible: {reason}"
    missing = found.missing()
    seen = [kind for kind in KINDS if kind not in missing]
    lines = [f"{found.about} is the judge", f"compared: {', '.join(seen)}"]
    for reason in dict.fromkeys(missing.values()):
        kinds = [kind for kind, why in missing.items() if why == reason]
        lines.append(f"not {', '.join(kinds)}: {reason}")
    return "\n".join(lines)
