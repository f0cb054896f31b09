"""The command line.  One file a command; a command's file is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagerace.cli.arguments import Parser
    from pagerace.cli.terminal import Terminal

COMMANDS = {
    "check": "search every interleaving of a claim, and show the race if there is one",
    "show": "print an execution as a commit message, a comment, markdown or JSON",
    "reproduce": "run one interleaving again, from the schedule that a check printed",
    "list": "the claims of a file, or of all built-in protocols",
    "points": "the source with every place marked where another CPU may run",
    "rule": "what an error or a finding means, with a wrong and a right example",
    "doctor": "what this machine has, and whether pagerace works on it",
}

EPILOG = """\
Exit codes: 0 holds within the stated bounds, 1 violated, 2 usage or protocol
error, 3 inconclusive (a bound was met, or Ctrl-C), 4 a bug in pagerace.

`pagerace COMMAND --help` tells the options of a command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process) and return its exit code."""
    from pagerace.cli.terminal import Terminal

    arguments = list(sys.argv[1:] if argv is None else argv)
    terminal = Terminal()
    try:
        code = _run(arguments, terminal)
        terminal.finish()
        return code
    except SystemExit as done:  # from --help and --version
        return int(done.code or 0)
    except KeyboardInterrupt:
        terminal.error("interrupted")
        return 3
    except BrokenPipeError:
        return 0
    except Exception as error:
        return _explain(error, arguments, terminal)


def _run(arguments: list[str], terminal: Terminal) -> int:
    import importlib

    parser = _parser(arguments)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    terminal.configure(
        quiet=getattr(options, "quiet", False), output=getattr(options, "output", None)
    )
    return importlib.import_module(f"pagerace.cli.{options.command}").run(options, terminal)


def _parser(arguments: list[str]) -> Parser:
    """The parser; only the named command's own options are read."""
    import importlib

    from pagerace import __version__
    from pagerace.cli.arguments import Parser

    parser = Parser(
        prog="pagerace",
        description="A model checker for the Linux page-table layer.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"pagerace {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", parser_class=Parser
    )
    for name, words in COMMANDS.items():
        command = commands.add_parser(name, help=words, description=words.capitalize() + ".")
        if name in arguments:
            importlib.import_module(f"pagerace.cli.{name}").add_arguments(command)
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
