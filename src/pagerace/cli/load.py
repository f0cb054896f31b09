"""From what stands on a command line to the claims that are meant.

``numa.py`` is every claim of a file, ``numa.py::dontneed`` one of them, and
``numa.py::dontneed[no_lock]`` a mutant of it.  A built-in protocol goes by the name of
its module: ``t4_lost_write``, ``t4_lost_write::v6_0``.  ``T4`` is the group of all built-in
protocols whose names begin with ``t4_``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import re
from collections.abc import Iterator, Sequence
from types import ModuleType

from pagerace.cli.errors import UsageError, did_you_mean
from pagerace.cli.importing import import_file, importing, script_name
from pagerace.cli.walking import target_of_walk
from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.lang.protocol import Expect, Protocol
from pagerace.report.diagnostics import read_source

BUILT_IN = "pagerace.protocols"

# A claim at the start of a line; one inside an `if` is not there twice for sure.
_CLAIM = re.compile(
    r"^(?P<name>\w+)[ \t]*(?::[^=\n]*)?=[ \t]*(?:\w+\.)*protocol\(", re.MULTILINE
)

_GROUP = re.compile(r"(?P<group>t\d+)_")

NAMES_MAX = 8  # claims that a message lists

_ADDRESS = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<mutant>.+)\])?")


@dataclasses.dataclass(frozen=True)
class Target:
    """A claim that a command line names.

    ``address`` names it again.  A script imports ``name`` from ``module`` ("" if it
    cannot), with ``folder`` on the path ("" for built-in protocols).
    """

    address: str
    name: str
    protocol: Protocol
    module: str
    folder: str
    mutant: str = ""

    @property
    def title(self) -> str:
        """What the claim says of itself; a mutant says nothing."""
        return "" if self.mutant else self.protocol.title


class NoClaim(UsageError):
    """A file that has no claim."""


def targets_of(addresses: Sequence[str], *, mutants: bool = False) -> list[Target]:
    """All claims that ``addresses`` name, in that order, none twice.

    With ``mutants`` each claim is followed by its mutants.  Raises UsageError for a
    name that is not known and CompileError for a file that cannot be imported.
    """
    found: dict[str, Target] = {}
    for address in addresses:
        for target in _targets(address, mutants):
            found.setdefault(target.address, target)
    return list(found.values())


def one_target(address: str) -> Target:
    """The one claim that ``address`` names.  Raises UsageError if it names several."""
    found = _targets(address, mutants=False)
    if len(found) > 1:
        names = [target.name for target in found[:NAMES_MAX]]
        names += ["..."] if len(found) > NAMES_MAX else []
        raise UsageError(
            f"{address} has {len(found)} claims: {', '.join(names)}", "write FILE::CLAIM"
        )
    return found[0]


def built_in_names() -> list[str]:
    """The built-in protocols by name, without importing any."""
    package = importlib.import_module(BUILT_IN)
    names: set[str] = set()
    for folder in package.__path__:
        with contextlib.suppress(OSError):
            names |= {f[:-3] for f in os.listdir(folder) if f.endswith(".py")}
    return sorted(name for name in names if not name.startswith("_"))


def groups() -> dict[str, list[str]]:
    """``T4`` -> the built-in protocols of that group, by name."""
    found: dict[str, list[str]] = {}
    for name in built_in_names():
        if match := _GROUP.match(name):
            found.setdefault(match["group"].upper(), []).append(name)
    return dict(sorted(found.items(), key=lambda item: int(item[0][1:])))


def _targets(address: str, mutants: bool) -> list[Target]:
    path, colons, claim = address.partition("::")
    group = [] if os.path.exists(path) else groups().get(path, [])
    if group and colons:
        raise UsageError(f"{path} is a group of protocols", f"it has {', '.join(group)}")
    if group:
        return [target for name in group for target in _targets(name, mutants)]
    module, folder = load(path)
    claims = _claims(module)
    if colons:
        return [_named(claims, claim, path, module, folder)]
    if not claims:
        raise NoClaim(
            f"{path} has no claim", "a claim is a global: name = protocol(threads=[...], ...)"
        )
    found: list[Target] = []
    for name, protocol in claims.items():
        target = Target(f"{path}::{name}", name, protocol, script_name(module), folder)
        found.append(target)
        if mutants:
            found += [mutated(target, mutant) for mutant in protocol.mutants]
    return found


def _named(
    claims: dict[str, Protocol], claim: str, prefix: str, module: ModuleType, folder: str
) -> Target:
    """The claim ``name`` or the mutant ``name[mutant]``."""
    match = _ADDRESS.fullmatch(claim)
    name = match["name"] if match else claim
    protocol = claims.get(name) or getattr(module, name, None)
    if not isinstance(protocol, Protocol):
        if (walk := target_of_walk(claim, prefix, module, folder)) is not None:
            return walk
        guess = did_you_mean(name, list(claims))
        known = f"it has {', '.join(claims)}" if claims else "it has none"
        raise UsageError(f"no claim {name!r} in {prefix}", guess or known)
    target = Target(f"{prefix}::{name}", name, protocol, script_name(module), folder)
    if match is None or match["mutant"] is None:
        return target
    if match["mutant"] not in protocol.mutants:
        known_mutants = list(protocol.mutants)
        guess = did_you_mean(match["mutant"], known_mutants)
        known = f"it has {', '.join(known_mutants)}" if known_mutants else "it has none"
        raise UsageError(f"no mutant {match['mutant']!r} of {prefix}::{name}", guess or known)
    return mutated(target, match["mutant"])


def mutated(target: Target, mutant: str) -> Target:
    """The claim with the edits of one of its mutants, which should be violated."""
    change = target.protocol.mutants[mutant]
    protocol = dataclasses.replace(
        target.protocol,
        edits=target.protocol.edits + change.edits,
        expect=Expect(change.killed_by),
        mutants={},
    )
    return dataclasses.replace(
        target, address=f"{target.address}[{mutant}]", protocol=protocol, mutant=mutant
    )


def _claims(module: ModuleType) -> dict[str, Protocol]:
    """The protocols that are globals of a module and made in it, by line.

    Raises CompileError where two have one name: the first would never be checked.
    """
    path = os.path.realpath(module.__file__ or "")
    if twice := _named_twice(path):
        raise CompileError(twice)
    found: dict[str, Protocol] = {}
    for name, value in vars(module).items():
        is_new = all(value is not other for other in found.values())
        if isinstance(value, Protocol) and is_new and os.path.realpath(value.file) == path:
            found[name] = value
    return dict(sorted(found.items(), key=lambda item: item[1].line))


def _named_twice(path: str) -> list[Diagnostic]:
    """Each claim of a file that takes the name of an earlier one."""
    first: dict[str, int] = {}
    errors: list[Diagnostic] = []
    source = read_source(path)
    for match in _CLAIM.finditer(source):
        name = match["name"]
        line = source.count("\n", 0, match.start()) + 1
        if name in first:
            message = f"there is a claim {name!r} already, in line {first[name]}"
            help = "give each claim a name of its own"
            end = len(name.encode())
            errors.append(Diagnostic("duplicate-claim", message, path, line, 0, end, help=help))
        first.setdefault(name, line)
    return errors


def load(path: str) -> tuple[ModuleType, str]:
    """The module, and the folder that it is imported from ("" for a built-in)."""
    if os.path.isfile(path):
        if not os.access(path, os.R_OK):
            raise UsageError(f"cannot read {path}: permission denied")
        return import_file(path)
    looks_like_file = path.endswith(".py") or os.sep in path
    names = built_in_names()
    if not looks_like_file and path in names:
        return _import_built_in(path), ""
    if os.path.isdir(path):
        raise UsageError(f"{path} is a directory", "name a protocol file in it")
    if looks_like_file:
        folder = os.path.dirname(path)
        near = did_you_mean(os.path.basename(path), list(_python_files(folder or ".")))
        raise UsageError(f"no such file: {path}", near)
    if re.fullmatch(r"[Tt]\d+", path):
        known = list(groups())
        guess = did_you_mean(path.upper(), known) or f"the groups are {', '.join(known)}"
        raise UsageError(f"no group {path!r} of built-in protocols", guess)
    near = did_you_mean(path, [*names, *_python_files(".")])
    if os.path.isfile(f"{path}.py"):
        near = f"did you mean '{path}.py'?"
    raise UsageError(f"no built-in protocol {path!r}", near or "`pagerace list` names them")


def _import_built_in(name: str) -> ModuleType:
    module = importlib.import_module(BUILT_IN)
    path = os.path.join(next(iter(module.__path__)), f"{name}.py")
    with importing(path):
        return importlib.import_module(f"{BUILT_IN}.{name}")


def _python_files(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from sorted(f for f in os.listdir(folder) if f.endswith(".py"))


def script(targets: Sequence[Target], options: dict[str, object]) -> str:
    """A Python script that does what the command line does."""
    folders = {target.folder for target in targets if target.folder not in ("", os.getcwd())}
    lines = ["import sys", ""] if folders else []
    lines += [f"sys.path.insert(0, {folder!r})" for folder in sorted(folders)]
    lines += [""] if folders else []
    lines.append("from pagerace import check")
    if any(target.mutant for target in targets):
        lines.append("from pagerace.lang import violates")
    for module in dict.fromkeys(target.module for target in targets):
        if not module:
            raise UsageError("the file's name is no name of a module", "rename the file")
        names = sorted({t.name for t in targets if t.module == module})
        lines.append(f"from {module} import {', '.join(names)}")
    lines.append("")
    words = "".join(f", {name}={value!r}" for name, value in options.items())
    for target in targets:
        claim = target.name
        if target.mutant:
            edits = f"{claim}.edits + {claim}.mutants[{target.mutant!r}].edits"
            expect = f"violates({target.protocol.expect.violated!r})"
            claim = f"{claim}.replace(edits={edits}, expect={expect}), claim={target.address!r}"
        lines.append(f"print(check({claim}{words}))")
    return "\n".join(lines)
