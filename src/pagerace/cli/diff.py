"""``pagerace diff``: the running kernel and mm/ run the same programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pagerace.cli.arguments import Parser, add_output, count
from pagerace.cli.errors import HOLDS, INCONCLUSIVE, VIOLATED, UsageError
from pagerace.cli.terminal import Terminal

if TYPE_CHECKING:
    from pagerace.oracle.compare import Compared
    from pagerace.oracle.program import Judge, Program
    from pagerace.oracle.session import Found, Outcome, Progress

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
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Compare; returns the exit code."""
    from pagerace.oracle.judges import kernel_judge, model_judge
    from pagerace.oracle.program import CannotJudge
    from pagerace.oracle.session import Outcome

    programs = _programs(options)
    if options.save and (problem := _cannot_save(Path(options.save))):
        raise UsageError(f"--save {options.save}: {problem}")
    try:
        kernel = kernel_judge()
    except CannotJudge as error:
        return tell(Outcome("", "mm/", cannot=str(error)), options, terminal)
    try:
        outcome = compare_all(kernel, model_judge(), programs, _progress(options, terminal))
    finally:
        kernel.close()
    return tell(outcome, options, terminal)


def _cannot_save(path: Path) -> str:
    if path.suffix not in (".c", ".py", ".json"):
        return "not .c, .py or .json"
    return "" if path.parent.is_dir() else f"there is no directory {path.parent}"


def compare_all(
    kernel: Judge,
    model: Judge,
    programs: Iterator[tuple[str, Program]],
    progress: Progress | None,
) -> Outcome:
    """Run the programs on both judges."""
    from pagerace.oracle.session import Session

    try:
        return Session(kernel, model).run(programs, progress)
    finally:
        model.close()


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


def _programs(options: argparse.Namespace) -> Iterator[tuple[str, Program]]:
    from pagerace.oracle.document import ProgramError, program_from_text
    from pagerace.oracle.generate import from_seed

    if not options.program:
        numbers = range(options.first, options.first + options.programs)
        return (
            (
                f"program {number} of seed {options.seed}",
                from_seed(options.seed, number, options.calls),
            )
            for number in numbers
        )
    try:
        text = Path(options.program).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {options.program}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{options.program}: not a text file") from None
    try:
        program = program_from_text(text)
    except ProgramError as error:
        raise UsageError(f"{options.program}: {error}") from None
    return iter([(options.program, program)])


def _progress(options: argparse.Namespace, terminal: Terminal) -> Progress:
    def show(compared: Compared, seconds: float) -> None:
        rate = compared.programs / seconds if seconds else 0.0
        left = (options.programs - compared.programs) / rate if rate else 0.0
        terminal.progress(
            f"{compared.programs:,} of {options.programs:,} programs, "
            f"{compared.calls:,} calls, {rate:.0f} programs/s, {left:.0f} s left",
            seconds,
        )

    return show
