"""``pagerace diff``: the running kernel and mm/ run the same programs."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pagerace.cli.arguments import Parser, add_output, count
from pagerace.cli.errors import HOLDS, INCONCLUSIVE, VIOLATED, UsageError
from pagerace.cli.terminal import Terminal

if TYPE_CHECKING:
    from pagerace.oracle.compare import Compared
    from pagerace.oracle.parallel import Work
    from pagerace.oracle.program import Judge, Program
    from pagerace.oracle.session import Found, Outcome, Progress, Session

# So few programs are done before another process has started.
PROGRAMS_OF_ONE = 200
# One of so many programs is about huge pages, where there are some.
SHARE = 16
CODES = {"agrees": HOLDS, "differs": VIOLATED, "inconclusive": INCONCLUSIVE}


def add_arguments(parser: Parser) -> None:
    """The options of ``diff``."""
    parser.add_argument(
        "--programs", type=count, metavar="N", default=100, help="programs to run (100)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="S", default=0, help="they are those of seed S (0)"
    )
    parser.add_argument(
        "--first", type=int, metavar="N", default=0, help="begin with program N of the seed (0)"
    )
    parser.add_argument(
        "--calls", type=count, metavar="N", default=30, help="calls of each program (30)"
    )
    parser.add_argument(
        "--program", metavar="FILE", help="run the program of a JSON file instead"
    )
    parser.add_argument(
        "--save",
        metavar="FILE",
        help="write the program that shows a difference: FILE.c, FILE.py or FILE.json",
    )
    parser.add_argument(
        "--fault-around",
        type=_powers,
        metavar="PAGES[,PAGES...]",
        default=(),
        help="run all programs with the kernel's fault_around_bytes at each of these; it is "
        "one setting for the whole machine, and put back at the end (root, debugfs)",
    )
    parser.add_argument(
        "--thp",
        action="store_true",
        help="all programs are about huge pages, else one of sixteen is; khugepaged sleeps "
        "meanwhile, on the whole machine (root, transparent_hugepage/enabled is madvise)",
    )
    parser.add_argument(
        "-j", "--workers", type=count, metavar="N", help="processes (default: all cores)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Compare; returns the exit code."""
    from pagerace.oracle import judges
    from pagerace.oracle.program import CannotJudge
    from pagerace.oracle.session import Outcome, Session

    program = _program(options.program) if options.program else None
    if options.save and (problem := _cannot_save(Path(options.save))):
        raise UsageError(f"--save {options.save}: {problem}")
    made: list[Judge] = []
    try:
        made.append(judges.kernel_judge())
        made.append(judges.model_judge())
        session = Session(made[0], made[1])
        outcome = _compared(session, program, options, terminal)
    except CannotJudge as error:
        outcome = Outcome("", "mm/", cannot=str(error))
    finally:
        for judge in made:
            judge.close()
    return tell(outcome, options, terminal)


def _compared(
    session: Session, program: Program | None, options: argparse.Namespace, terminal: Terminal
) -> Outcome:
    from pagerace.oracle.parallel import Work
    from pagerace.oracle.program import CannotJudge

    if program is not None:
        return session.run([(options.program, program)])
    work = Work(options.seed, options.first, options.programs, options.calls)
    work = replace(work, without=tuple(session.outcome.unmade))
    refused = session.outcome.not_compared.get("huge-pages", "")
    if options.thp and refused:
        raise CannotJudge(f"--thp: {refused}")
    if options.thp or (not refused and options.programs >= SHARE):
        work = replace(work, huge=1 if options.thp else SHARE)
        return _asleep(session, work, options, terminal)
    return _around(session, work, options, terminal)


def _asleep(
    session: Session, work: Work, options: argparse.Namespace, terminal: Terminal
) -> Outcome:
    """While khugepaged does nothing."""
    from pagerace.oracle.khugepaged import Asleep

    asleep = Asleep()
    try:
        return _around(session, work, options, terminal)
    finally:
        asleep.close()


def _around(
    session: Session, work: Work, options: argparse.Namespace, terminal: Terminal
) -> Outcome:
    """Once for each value of --fault-around."""
    from pagerace.oracle import fault_around
    from pagerace.oracle.program import PAGE

    progress = _progress(options, terminal)
    if not options.fault_around:
        now = replace(work, fault_around=fault_around.unusual())
        return _work(session, now, options.workers, progress)
    around, seconds = fault_around.FaultAround(), 0.0
    try:
        for pages in options.fault_around:
            around.set(pages * PAGE)
            now = replace(work, fault_around=pages)
            outcome = _work(session, now, options.workers, progress)
            seconds += outcome.seconds
            if outcome.verdict != "agrees":
                break
    finally:
        around.close()
    session.outcome.seconds = seconds
    return session.outcome


def _work(
    session: Session, work: Work, workers: int | None, progress: Progress
) -> Outcome:
    """In this process, or in as many as there are CPUs."""
    from pagerace.oracle.parallel import cpus, run_parallel

    workers = workers or (1 if work.count < PROGRAMS_OF_ONE else 1_000)
    places = cpus(min(workers, len(work.chunks())))
    if len(places) < 2:
        return session.run(work.programs(), progress)
    return run_parallel(work, session.outcome, places, progress)


def _powers(text: str) -> tuple[int, ...]:
    """``1,16,64``: what fault_around_bytes can be, in pages."""
    values = tuple(int(word) if word.isdecimal() else 0 for word in text.split(","))
    if any(value.bit_count() != 1 or value > 512 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r}: not powers of two from 1 to 512")
    return values


def _cannot_save(path: Path) -> str:
    if path.suffix not in (".c", ".py", ".json"):
        return "not .c, .py or .json"
    return "" if path.parent.is_dir() else f"there is no directory {path.parent}"


def tell(outcome: Outcome, options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the outcome and write the program; the exit code."""
    from pagerace.oracle import report

    if options.format == "json":
        terminal.out(json.dumps(report.document(outcome), indent=2))
    else:
        terminal.out(report.text(outcome))
    if outcome.found and options.save:
        save(outcome.found, options.save)
        terminal.note(f"written: {options.save}")
    return CODES[outcome.verdict]


def save(found: Found, path: str) -> None:
    """Write the short program in the language that the name asks for."""
    from pagerace.oracle.document import program_to_json
    from pagerace.oracle.printing import to_c, to_python

    if path.endswith(".c"):
        text = to_c(found.program)
    elif path.endswith(".py"):
        text = to_python(found.program)
    else:
        text = json.dumps(program_to_json(found.program), indent=1) + "\n"
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _program(path: str) -> Program:
    """The program of a file.  Raises UsageError."""
    from pagerace.oracle.document import ProgramError, program_from_text

    try:
        return program_from_text(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text file") from None
    except ProgramError as error:
        raise UsageError(f"{path}: {error}") from None


def _progress(options: argparse.Namespace, terminal: Terminal) -> Progress:
    programs = options.programs * max(len(options.fault_around), 1)

    start = time.monotonic()

    def show(compared: Compared, _: float) -> None:
        seconds = time.monotonic() - start  # of all values of --fault-around
        rate = compared.programs / seconds if seconds else 0.0
        left = (programs - compared.programs) / rate if rate else 0.0
        terminal.progress(
            f"{compared.programs:,} of {programs:,} programs, "
            f"{compared.calls:,} calls, {rate:.0f} programs/s, {left:.0f} s left",
            seconds,
        )

    return show
