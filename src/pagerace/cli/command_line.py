"""From the words of a command line to a command, and from what happens to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagerace.cli.arguments import Parser
    from pagerace.cli.terminal import Terminal

COMMANDS = {
    "check": "search every interleaving of a claim; show the race if there is one",
    "table": "try every variant of a file or group against every property",
    "mutants": "check that each mutant is killed, and by the property that it names",
    "walk": "check that a walk with your callbacks handles each page once",
    "show": "print an execution as a commit message, a comment, markdown or JSON",
    "reproduce": "run one interleaving again, from the schedule that a check printed",
    "replay": "replay programs' memory traces on a machine of full size, and count",
    "compare": "set variants side by side: is each safe, and what does it cost",
    "list": "list the claims of a file, or of all built-in protocols",
    "points": "mark every place in the source where another CPU may run",
    "dump": "print a claim as flat IR, as Promela for Spin, or as LLVM",
    "diff": "run programs on the running kernel and on mm/, and compare",
    "rule": "explain an error or a finding, with a wrong and a right example",
    "doctor": "say what this machine has, and whether pagerace works on it",
}

EPILOG = """\
Exit codes: 0 holds within the stated bounds, 1 violated, 2 usage or protocol
error, 3 inconclusive (a bound was met, or Ctrl-C), 4 a bug in pagerace.

`pagerace COMMAND --help` tells the options of a command.
"""


def run(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process) and return its exit code."""
    from pagerace.cli.terminal import Terminal

    arguments = list(sys.argv[1:] if argv is None else argv)
    terminal = Terminal()
    try:
        code = _guarded(lambda: _run(arguments, terminal), arguments, terminal)
    except KeyboardInterrupt:
        terminal.error("interrupted")
        code = 3
    # What was printed until something failed is kept, too.
    return max(code, _guarded(terminal.finish, arguments, terminal))


def _guarded(action: Callable[[], int], arguments: list[str], terminal: Terminal) -> int:
    """The exit code of ``action``, or of what went wrong in it."""
    try:
        return action()
    except SystemExit as done:  # from --help and --version
        return int(done.code or 0)
    except Exception as error:
        return _explain(error, arguments, terminal)


def _run(arguments: list[str], terminal: Terminal) -> int:
    import importlib

    parser = _parser(arguments)
    options = parser.parse_args(arguments)
    if options.command is None:
        terminal.error(parser.format_help().rstrip())
        return 2
    terminal.configure(
        quiet=getattr(options, "quiet", False), output=getattr(options, "output", None)
    )
    return importlib.import_module(f"pagerace.cli.{options.command}").run(options, terminal)


def _parser(arguments: list[str]) -> Parser:
    """The parser; only the named command's own options are read."""
    import argparse
    import importlib

    from pagerace import __version__
    from pagerace.cli.arguments import Parser

    listed = "\n".join(f"  {name:<11}{words}" for name, words in COMMANDS.items())
    parser = Parser(
        prog="pagerace",
        usage="pagerace COMMAND [OPTION ...]",
        description="A model checker for the Linux page-table layer.",
        epilog=f"commands:\n{listed}\n\n{EPILOG}",
    )
    parser.add_argument("--version", action="version", version=f"pagerace {__version__}")
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        help=argparse.SUPPRESS,
        prog="pagerace",
        parser_class=Parser,
    )
    for name, words in COMMANDS.items():
        sentence = words[0].upper() + words[1:] + "."
        command = commands.add_parser(name, description=sentence)
        if name in arguments:
            importlib.import_module(f"pagerace.cli.{name}").add_arguments(command)
            parser.command = command
    return parser


def _explain(error: Exception, arguments: list[str], terminal: Terminal) -> int:
    """Say what went wrong, without a traceback unless PAGERACE_DEV asks for it."""
    from pagerace.cli.errors import UsageError, development, internal_error
    from pagerace.compiler.diagnostic import CompileError

    if development():
        import traceback

        terminal.error("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, UsageError):
        terminal.error(f"error: {error}" + (f"\n  {error.help}" if error.help else ""))
        return 2
    if isinstance(error, CompileError):
        from pagerace.report.diagnostics import frames

        terminal.error(frames(error.diagnostics))
        return 2
    terminal.error(internal_error(error, arguments))
    return 4
