"""``pagerace replay``: real programs' traces on a machine of full size, and what it counts."""

from __future__ import annotations

import argparse
import itertools
import signal
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagerace.cli.arguments import Parser, add_output, count, size
from pagerace.cli.errors import INCONCLUSIVE, USAGE, UsageError, did_you_mean
from pagerace.cli.terminal import Terminal, cannot_write
from pagerace.report import replayed
from pagerace.report.words import duration, plural
from pagerace.report.words import size as in_words

if TYPE_CHECKING:
    from pagerace.replay.events import Call, Event
    from pagerace.replay.mappings import Mappings
    from pagerace.replay.reader import Trace
    from pagerace.replay.session import Session

CONFIGURATIONS_MAX = 64
NOTE_EVERY = 10.0  # seconds between lines where there is no terminal
BAR = 24  # columns


def add_arguments(parser: Parser) -> None:
    """The options of ``replay``."""
    parser.add_argument(
        "traces",
        nargs="*",
        metavar="TRACE",
        help="valgrind lackey, DynamoRIO, ChampSim, `perf script` or Parquet, as it is, gzip "
        "or xz; - is standard input.  Several run at once, a process each",
    )
    parser.add_argument(
        "--with",
        action="append",
        default=[],
        dest="variants",
        metavar="NAME=A,B",
        help="configurations side by side: every value of NAME; with more, all combinations",
    )
    parser.add_argument(
        "--options", action="store_true", help="list the names and values of --with"
    )
    parser.add_argument("--from", dest="form", metavar="FORMAT", help="the traces' format")
    parser.add_argument("--maps", metavar="FILE", help="mappings: a copy of /proc/PID/maps")
    parser.add_argument(
        "--strace", metavar="FILE", help="system calls: what strace printed of %%memory"
    )
    parser.add_argument(
        "--memory", type=size, metavar="SIZE", help="reclaim when more is used: 64M"
    )
    parser.add_argument("--cpus", type=count, default=1, metavar="N", help="CPUs (default: 1)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--plot", metavar="FILE", help="draw it: .png, .svg or .pdf")
    parser.add_argument("--save", metavar="FILE", help="keep the trace, as Parquet")
    parser.add_argument(
        "--progress", action="store_true", help="show the progress of short runs, too"
    )
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Replay; returns the exit code: 2 if a trace is damaged, 3 after Ctrl-C."""
    from pagerace.replay import engine
    from pagerace.replay.events import TraceError

    if options.options:
        terminal.out("\n".join(option_lines(engine.OPTIONS)))
        return 0
    if not options.traces:
        raise UsageError("nothing to replay", "name a trace, or - for standard input")
    variants = combinations(options.variants, engine.OPTIONS)
    _look_ahead(options)
    traces: list[Trace] = []
    try:
        traces = [open_trace(name, i, options) for i, name in enumerate(options.traces, 1)]
        return _replay(options, terminal, traces, variants)
    except TraceError as error:
        raise usage_error(error) from None
    finally:
        for trace in traces:
            trace.close()


def _look_ahead(options: argparse.Namespace) -> None:
    """What can only fail after a long replay fails at once.  Raises UsageError."""
    from pagerace.report import plot

    if options.plot and (problem := plot.problem(options.plot)):
        raise UsageError(f"--plot: {problem}")
    for path in (options.plot, options.save):
        if path and (problem := cannot_write(path)):
            raise UsageError(f"cannot write {path}: {problem}")


def open_trace(name: str, process: int, options: argparse.Namespace) -> Trace:
    """A trace that can be read.  Raises UsageError."""
    from pagerace.replay.events import TraceError
    from pagerace.replay.reader import READERS, Trace

    if options.form and options.form not in READERS:
        guess = did_you_mean(options.form, list(READERS)) or f"one of {', '.join(READERS)}"
        raise UsageError(f"--from: no format {options.form!r}", guess)
    try:
        return Trace(name, process, options.form or "")
    except TraceError as error:
        raise usage_error(error) from None
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None


def usage_error(error: Any) -> UsageError:
    """A TraceError as what ends a command."""
    return UsageError(str(error), error.help)


def combinations(
    variants: Sequence[str], known: Mapping[str, Any]
) -> list[dict[str, tuple[str, Any]]]:
    """Every combination of ``--with``: name -> (as it was written, value).

    Raises UsageError.
    """
    values: dict[str, list[tuple[str, Any]]] = {}
    for variant in variants:
        name, equals, texts = variant.partition("=")
        if name not in known:
            help = did_you_mean(name, list(known)) or "pagerace replay --options lists them"
            raise UsageError(f"--with: no option {name!r}", help)
        if not equals:
            raise UsageError(f"--with {variant}: no value", f"--with {name}=VALUE,VALUE")
        if name in values:
            raise UsageError(f"--with {name} is given twice", f"--with {name}=VALUE,VALUE")
        try:
            values[name] = [(text, known[name].parse(text)) for text in texts.split(",")]
        except ValueError as error:
            raise UsageError(f"--with {variant}: {error}", known[name].help) from None
    found = [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]
    if len(found) > CONFIGURATIONS_MAX:
        raise UsageError(f"{len(found)} configurations; at most {CONFIGURATIONS_MAX}")
    return found


def option_lines(known: Mapping[str, Any]) -> Iterable[str]:
    """What ``--options`` prints: a line for each, with its values and its default."""
    width = max(map(len, known), default=0) + 2
    for name, option in known.items():
        yield f"{name:<{width}}{option.help}"
        yield f"{'':<{width}}{option.values} (default: {option.default})"


def _replay(
    options: argparse.Namespace,
    terminal: Terminal,
    traces: Sequence[Trace],
    variants: list[dict[str, tuple[str, Any]]],
) -> int:
    from pagerace.replay import engine
    from pagerace.replay.mappings import Mappings
    from pagerace.replay.parquet import Writer
    from pagerace.replay.session import Session

    mappings = [Mappings() for _ in variants]
    machines = [
        engine.Replay(
            {name: value for name, (_, value) in variant.items()},
            memory=options.memory, cpus=options.cpus, unmapped=mapping,
        )
        for variant, mapping in zip(variants, mappings, strict=True)
    ]  # fmt: skip
    session = Session(traces, machines, mappings, lambda process: given(options, process))
    progress = Progress(terminal, session, always=options.progress)
    writer = _writer(options.save, Writer)

    with interruptible(session) as interrupted:

        def write(event: Event) -> None:
            try:
                writer.write(event)
            except OSError as error:
                raise UsageError(f"cannot write {options.save}: {error}") from None

        def each(event: Event) -> bool:
            if writer is not None:
                write(event)
            progress.show()
            return not interrupted

        ended = ""
        failure: Exception | None = None
        try:
            session.run(each)
        except KeyboardInterrupt:
            interrupted.append(signal.SIGINT)
        except engine.NoMemory as error:
            ended = f"out of simulated memory: {error}"
        except UsageError:
            raise
        except Exception as error:  # told when what was counted is printed
            failure = error
            ended = "pagerace failed"
    session.close()
    if writer is not None:
        writer.close()
    if interrupted:
        ended = "interrupted"
    result = _result(options, traces, variants, session, ended)
    if options.format == "json":
        terminal.out(replayed.to_json(result))
    else:
        terminal.out(replayed.text(result, brief=options.quiet, full=options.verbose))
    if options.plot:
        _plot(result, options.plot)
    if failure is not None:
        raise failure
    for error in session.errors:
        terminal.error(f"error: {error}" + (f"\n  {error.help}" if error.help else ""))
    if session.errors:
        return USAGE
    return INCONCLUSIVE if ended else 0


def given(options: argparse.Namespace, process: int) -> tuple[list[Any], list[Call]]:
    """The mappings of ``--maps`` and the calls of ``--strace``, of this process.

    Raises UsageError.
    """
    from pagerace.replay.calls import read_strace
    from pagerace.replay.events import TraceError
    from pagerace.replay.maps import read_maps

    def lines(path: str) -> list[str]:
        try:
            return Path(path).read_text("utf-8", "backslashreplace").splitlines(keepends=True)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None

    try:
        maps = read_maps(lines(options.maps), options.maps, process) if options.maps else []
        if not options.strace:
            return maps, []
        return maps, read_strace(lines(options.strace), options.strace, process)
    except TraceError as error:
        raise usage_error(error) from None


def _writer(path: str | None, make: Any) -> Any:
    if not path:
        return None
    try:
        return make(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _plot(result: replayed.Replayed, path: str) -> None:
    from pagerace.report import plot

    try:
        plot.save(result, path)
    except plot.CannotPlot as error:
        raise UsageError(f"--plot: {error}") from None


def _result(
    options: argparse.Namespace,
    traces: Sequence[Trace],
    variants: list[dict[str, tuple[str, Any]]],
    session: Session,
    ended: str,
) -> replayed.Replayed:
    texts = [{name: text for name, (text, _) in variant.items()} for variant in variants]
    common = {
        name: text for name, text in texts[0].items()
        if len(texts) == 1 or len({other[name] for other in texts}) == 1
    }  # fmt: skip
    columns = [
        replayed.Column({n: t for n, t in text.items() if n not in common}, machine.counts())
        for text, machine in zip(texts, session.machines, strict=True)
    ]
    settings = {"cpus": str(options.cpus)} | common
    if options.memory:
        settings["memory"] = in_words(options.memory)
    return replayed.Replayed(
        traces=[trace.source.name for trace in traces],
        formats=[trace.format for trace in traces],
        lines=session.lines,
        seconds=session.seconds,
        columns=columns,
        settings=settings,
        warnings=list(_warnings(traces, session.mappings[0])),
        ended=ended or "".join(str(error) for error in session.errors[:1]),
    )


def _warnings(traces: Sequence[Trace], mappings: Mappings) -> Iterator[str]:
    if mappings.inferred:
        what = plural(mappings.inferred, "mapping")
        yield (
            f"{what} ({in_words(mappings.inferred_bytes)}) had to be inferred, as a file where "
            "instructions came from it, else as anonymous memory; "
            "valgrind --trace-syscalls=yes, --maps and --strace tell of mappings"
        )
    if outside := sum(trace.reader.outside for trace in traces):
        yield f"{plural(outside, 'access')} beyond the user's addresses, left out"


class Progress:
    """A bar on a terminal, else a line now and then."""

    def __init__(self, terminal: Terminal, session: Session, *, always: bool) -> None:
        self.terminal, self.session, self.always = terminal, session, always
        self.noted = 0.0

    def show(self) -> None:
        """Renew it, if it is time."""
        seconds = self.session.seconds
        if self.terminal.shows_progress():
            self.terminal.progress(self.bar(seconds), seconds if not self.always else 99)
        elif seconds - self.noted > (1.0 if self.always else NOTE_EVERY):
            self.noted = seconds
            self.terminal.note(f"replayed {self.words(seconds)}")

    def bar(self, seconds: float) -> str:
        """``[#####     ]`` and the words."""
        filled = round(BAR * self.session.done)
        return f"[{'#' * filled:<{BAR}}] {self.words(seconds)}"

    def words(self, seconds: float) -> str:
        """``37 %, 81,000,000 accesses, 12.3 M/s, 8 s left``."""
        accesses, done = self.session.accesses, self.session.done
        rate = accesses / max(seconds, 1e-3) / 1e6
        parts = [f"{100 * done:.0f} %"] if done else []
        parts += [plural(accesses, "access"), f"{rate:.1f} M/s"]
        if 0 < done < 1:
            parts.append(f"{duration(seconds / done * (1 - done))} left")
        return ", ".join(parts)


@contextmanager
def interruptible(session: Session) -> Generator[list[int]]:
    """Ctrl-C fills the list, and interrupts at once only what waits for a trace.

    So an event is replayed whole or not at all.  A second Ctrl-C ends the command.
    """
    caught: list[int] = []

    def handler(number: int, frame: Any) -> None:
        again = bool(caught)
        caught.append(number)
        if again or session.reading:
            raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread: the caller's business
        yield caught
        return
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)
