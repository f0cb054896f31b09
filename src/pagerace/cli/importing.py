"""Import a protocol file as a module; what goes wrong is told at its line."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Generator
from types import ModuleType

from pagerace import lang
from pagerace.cli.errors import did_you_mean
from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.lang.structures import Config, field_types

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def import_file(path: str) -> tuple[ModuleType, str]:
    """The file as a module, and the folder that was on the path for its imports.

    A file of a package is imported as a part of that package.  Raises CompileError with
    the place of what went wrong.
    """
    full = os.path.realpath(path)
    name, folder = module_name(full)
    loaded = sys.modules.get(name)
    if loaded is not None and os.path.realpath(loaded.__file__ or "") == full:
        return loaded, folder
    with importing(full), _on_path(folder):
        if "." in name:
            return importlib.import_module(name), folder
        return _import_alone(name, full), folder


def module_name(path: str) -> tuple[str, str]:
    """What a file is imported as, and from which folder.

    A name that Python or the program uses already is left alone: the module gets
    another one, so that ``queue.py`` cannot break what imports ``queue``.
    """
    folder, file = os.path.split(path)
    name = os.path.splitext(file)[0]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        name = f"{package}.{name}"
    if "." in name:
        return name, folder
    other = sys.modules.get(name)
    is_taken = (
        other is not None and os.path.realpath(getattr(other, "__file__", None) or "") != path
    )
    if is_taken or name in sys.stdlib_module_names or not name.isidentifier():
        name = "protocol_" + "".join(c if c.isalnum() else "_" for c in name)
    return name, folder


def script_name(module: ModuleType) -> str:
    """The name under which a script of its own could import a module; "" for none."""
    if "." in module.__name__:
        return module.__name__
    name = os.path.splitext(os.path.basename(module.__file__ or ""))[0]
    return name if name.isidentifier() and name not in sys.stdlib_module_names else ""


def _import_alone(name: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CompileError([_diagnostic("import-error", "not a Python file", path)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


@contextlib.contextmanager
def _on_path(folder: str) -> Generator[None]:
    """The file's folder comes first while it is imported, and last from then on.

    First is what Python does for a script; last keeps a file named as a module of
    Python from being found by what is imported later.
    """
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


@contextlib.contextmanager
def importing(path: str) -> Generator[None]:
    """Turn what an import of ``path`` raises into a CompileError with its place.

    What the file prints goes to stderr: stdout is for results.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except CompileError:
        raise
    except SyntaxError as error:
        raise CompileError([_of_syntax_error(error, path)]) from error
    except (Exception, SystemExit) as error:
        raise CompileError([_of_exception(error, path)]) from error


def _of_syntax_error(error: SyntaxError, path: str) -> Diagnostic:
    line = (error.text or "").rstrip("\n")
    start = max((error.offset or 1) - 1, 0)
    end = (error.end_offset or 0) - 1 if error.end_lineno == error.lineno else len(line)
    return Diagnostic(
        slug="syntax-error",
        message=error.msg,
        file=error.filename or path,
        line=error.lineno or 1,
        column=len(line[:start].encode()),
        end_column=len(line[: max(end, start + 1)].encode()),
    )


def _of_exception(error: BaseException, path: str) -> Diagnostic:
    """An exception, at the innermost line of the author's that led to it."""
    words = str(error).splitlines() or [""]
    message = f"{type(error).__name__}: {words[0]}".removesuffix(": ")
    help = ""
    if isinstance(error, ModuleNotFoundError):
        help = f"install {error.name!r}, or put it in the folder of this file"
    elif isinstance(error, SystemExit):
        message = "the file ends the program while it is imported"
    elif isinstance(error, ImportError):
        message = words[0].partition(" (")[0]  # without a path, which is not the author's
        help = _near_name(message, error.name)
    elif match := re.search(r"has no parameter '(\w+)'", words[0]):
        owner = _config_of(error)
        help = did_you_mean(match[1], list(field_types(owner or Config)))
    elif (taker := _taker(error)) is not None:
        message = words[0]
        help = did_you_mean(words[0].split("'")[-2], list(inspect.signature(taker).parameters))
    if _is_from_here(error):
        message = words[0]  # said for people, as what an interface refuses is
    place = _place(error, path)
    return _diagnostic(_slug(error), message, *place, help=help)


def _taker(error: BaseException) -> Callable[..., object] | None:
    """The function of ours that was given a keyword which it does not have."""
    unexpected = re.match(r"(\w+)\(\) got an unexpected keyword argument '\w+'", str(error))
    if unexpected is None or not isinstance(error, TypeError):
        return None
    return getattr(lang, unexpected[1], None)


def _near_name(message: str, module: str | None) -> str:
    """What a name that a module does not have may have been."""
    name = re.match(r"cannot import name '(\w+)'", message)
    return did_you_mean(name[1], dir(sys.modules.get(module or ""))) if name else ""


def _is_from_here(error: BaseException) -> bool:
    """Did our own code raise it, for the author to read?"""
    if not isinstance(error, (TypeError, ValueError)) or error.__traceback__ is None:
        return False
    last = list(traceback.walk_tb(error.__traceback__))[-1][0].f_code
    return os.path.realpath(last.co_filename).startswith(os.path.join(PACKAGE, "lang") + os.sep)


def _slug(error: BaseException) -> str:
    """What was refused: a ``Config``, a call of ours, or else the import as a whole."""
    if _config_of(error) is not None:
        return "bad-config"
    if _is_from_here(error) or _taker(error) is not None:
        return "wrong-arguments"
    return "import-error"


def _config_of(error: BaseException) -> type[Config] | None:
    """The class of parameters that refused what it was given."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if frame.f_code.co_name == "__init__" and isinstance(owner, Config):
            return type(owner)
    return None


def _place(error: BaseException, path: str) -> tuple[str, int, int, int]:
    """(file, line, column, end column) of the author's innermost line."""
    folder = os.path.dirname(os.path.realpath(path))
    chosen = (path, 1, 0, 1)
    current = error.__traceback__
    while current is not None:
        code = current.tb_frame.f_code
        file = os.path.realpath(code.co_filename)
        is_mine = file == os.path.realpath(path) or (
            file.startswith(folder + os.sep) and not file.startswith(PACKAGE + os.sep)
        )
        if is_mine:
            chosen = (code.co_filename, *_columns(current))
        current = current.tb_next
    return chosen


def _columns(current: object) -> tuple[int, int, int]:
    """Where in its line a frame is: (line, column, end column)."""
    line: int = current.tb_lineno  # type: ignore[attr-defined]
    code = current.tb_frame.f_code  # type: ignore[attr-defined]
    positions = list(code.co_positions())[current.tb_lasti // 2]  # type: ignore[attr-defined]
    start_line, end_line, start, end = positions
    if start_line != line or start is None or end is None:
        return line, 0, 1
    return line, start, end if end_line == start_line else start + 1


def _diagnostic(
    slug: str,
    message: str,
    file: str,
    line: int = 1,
    column: int = 0,
    end: int = 1,
    help: str = "",
) -> Diagnostic:
    return Diagnostic(slug, message, file, line, column, end, help=help)
