"""From an address to claims: what is found, and what is said where nothing is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pagerace.cli.importing import import_file, module_name
from pagerace.cli.load import built_in_names, groups, one_target, targets_of
from tests.cli.conftest import CommandLine


def test_claims_in_the_order_of_the_file(pagerace: CommandLine) -> None:
    targets = targets_of(["counter.py"])
    assert [t.address for t in targets] == ["counter.py::plain", "counter.py::locked"]


def test_mutants_follow_their_claim(pagerace: CommandLine) -> None:
    targets = targets_of(["counter.py"], mutants=True)
    assert [t.address for t in targets][2] == "counter.py::locked[no_flush]"
    assert targets[2].protocol.expect.violated == "no_lost_update"
    assert len(targets[2].protocol.edits) == 1
    assert targets[2].protocol.line == targets[1].protocol.line


def test_none_is_named_twice(pagerace: CommandLine) -> None:
    assert len(targets_of(["counter.py::plain", "counter.py"])) == 2


def test_one_file_is_one_module(pagerace: CommandLine) -> None:
    assert one_target("counter.py::plain").protocol is targets_of(["counter.py"])[0].protocol


def test_claims_of_another_file_are_not_those_of_this(pagerace: CommandLine) -> None:
    pagerace.write("more.py", "from counter import plain\nmine = plain.replace(title='x')\n")
    assert [t.name for t in targets_of(["more.py"])] == ["mine"]
    assert [t.name for t in targets_of(["more.py::plain"])] == ["plain"]


def test_name_of_a_module_of_python_is_left_alone(pagerace: CommandLine) -> None:
    import queue

    pagerace.write("queue.py", (pagerace.folder / "counter.py").read_text())
    assert len(targets_of(["queue.py"])) == 2
    assert sys.modules["queue"] is queue


def test_file_of_a_package(pagerace: CommandLine) -> None:
    folder = pagerace.folder / "claims_here" / "inner"
    folder.mkdir(parents=True)
    for init in (folder / "__init__.py", folder.parent / "__init__.py"):
        init.write_text("")
    (folder / "base.py").write_text((pagerace.folder / "counter.py").read_text())
    (folder / "more.py").write_text("from .base import plain\nx = plain.replace(title='x')\n")
    module, root = import_file("claims_here/inner/more.py")
    assert module.__name__ == "claims_here.inner.more"
    assert Path(root).resolve() == pagerace.folder.resolve()


def test_built_in_by_path_is_the_built_in_module() -> None:
    from pagerace.cli import smoke

    assert module_name(smoke.__file__)[0] == "pagerace.cli.smoke"
    assert import_file(smoke.__file__)[0] is smoke


def test_built_in_names_are_modules() -> None:
    assert all(name.isidentifier() for name in built_in_names())


GROUP = ["t4_one.py", "t4_two.py", "t12_other.py", "smoke.py", "_t4_helper.py"]


@pytest.fixture
def built_ins(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """Built-in protocols that no other change moves: two of T4, one of T12, one of none."""
    from pagerace import protocols

    folder = pagerace.folder / "built_in"
    folder.mkdir()
    for name in GROUP:
        (folder / name).write_text((pagerace.folder / "counter.py").read_text())
    monkeypatch.setattr(protocols, "__path__", [str(folder)])
    yield pagerace
    for name in GROUP:
        sys.modules.pop(f"pagerace.protocols.{name[:-3]}", None)


def test_groups(built_ins: CommandLine) -> None:
    assert groups() == {"T4": ["t4_one", "t4_two"], "T12": ["t12_other"]}
    assert list(groups()) == ["T4", "T12"]


def test_claims_of_a_group(built_ins: CommandLine) -> None:
    assert [t.address for t in targets_of(["T4"])] == [
        "t4_one::plain", "t4_one::locked", "t4_two::plain", "t4_two::locked",
    ]  # fmt: skip
    run = built_ins("list", "T4")
    assert run.code == 0
    assert "\n  t4_two::locked[no_flush] " in run.out and "t12_other" not in run.out


def test_file_stands_over_a_group(built_ins: CommandLine) -> None:
    built_ins.write("T4", (built_ins.folder / "counter.py").read_text())
    assert built_ins("list", "T4").code == 2  # no Python file by its name


WRONG_NAMES = {
    "no such file": ["check", "conter.py"],
    "no such claim": ["check", "counter.py::plian"],
    "no near claim": ["check", "counter.py::xyzzy"],
    "no such mutant": ["check", "counter.py::locked[no_flash]"],
    "no mutants": ["check", "counter.py::plain[x]"],
    "no such built-in": ["check", "no_such_protocol_at_all"],
    "file without .py": ["check", "counter"],
    "directory": ["check", "."],
    "nothing": ["check"],
    "several": ["show", "counter.py"],
    "option": ["check", "counter.py", "--state-max", "5"],
    "abbreviated option": ["check", "counter.py", "--states", "5"],
    "number": ["check", "counter.py", "--states-max", "many"],
    "fraction": ["check", "counter.py", "--states-max", "1.5"],
    "zero": ["check", "counter.py", "--states-max", "0"],
    "size": ["check", "counter.py", "--memory-max", "4 apples"],
    "time": ["check", "counter.py", "--time-max", "soon"],
    "format": ["check", "counter.py", "--format", "xml"],
    "command": ["chek", "counter.py"],
    "rule": ["rule", "bit-stor"],
    "no such group": ["table", "T9"],
    "group in small letters": ["mutants", "t4"],
    "claim of a group": ["check", "T4::v6_0"],
    "several of a group": ["reproduce", "T4", "--schedule", "0:1"],
    "no mutant anywhere": ["mutants", "counter.py::plain"],
    "schedule": ["reproduce", "counter.py::plain"],
}


@pytest.mark.parametrize("case", list(WRONG_NAMES))
def test_usage_error(case: str, built_ins: CommandLine, snapshot: object) -> None:
    run = built_ins(*WRONG_NAMES[case])
    assert (run.code, run.out) == (2, "")
    assert run.err == snapshot


BROKEN = {
    "syntax": "def run() -> None\n    pass\n",
    "syntax in an imported file": "import broken_part\n",
    "missing module": "from pagerace.lang import protocol\nimport no_such_module_here\n",
    "missing name": "from pagerace.lang import protocoll\n",
    "exception": "x = 1\n\ndef half(n):\n    return 1 // n\n\ny = half(x - 1)\n",
    "exit": "import sys\nsys.exit(3)\n",
    "config": (
        "from pagerace.lang import Config\n\nclass M(Config):\n    cpus: int = 2\n\nM(cpu=3)\n"
    ),
    "no claim": "x = 1\n",
    "wrong call": "from pagerace.lang import protocol\nclaim = protocol(5)\n",
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_broken_file(case: str, pagerace: CommandLine, snapshot: object) -> None:
    pagerace.write("broken_part.py", "x = (1,\n")
    run = pagerace("check", pagerace.write("broken.py", BROKEN[case]))
    assert (run.code, run.out) == (2, "")
    assert "Traceback" not in run.err
    assert run.err == snapshot


def test_print_while_importing_goes_to_stderr(pagerace: CommandLine) -> None:
    source = "print('hello')\n" + (pagerace.folder / "counter.py").read_text()
    run = pagerace("list", pagerace.write("chatty.py", source))
    assert run.err == "hello\n"
    assert "hello" not in run.out


def test_development_shows_where_the_import_failed(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGERACE_DEV", "1")
    run = pagerace("check", pagerace.write("broken.py", BROKEN["exception"]))
    assert "Traceback" in run.err and "ZeroDivisionError" in run.err


def test_two_claims_of_one_name_are_refused(pagerace: CommandLine) -> None:
    source = (pagerace.folder / "counter.py").read_text()
    last = source.count("\n") + 1
    pagerace.write("twice.py", source + "plain = protocol(threads=[thread(increment)])\n")
    run = pagerace("list", "twice.py")
    assert run.code == 2
    assert run.err.startswith(
        f"twice.py:{last}:1: error: duplicate-claim: "
        "there is a claim 'plain' already, in line 31\n"
    )


def test_file_that_may_not_be_read(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    run = pagerace("check", "counter.py")
    assert run.code == 2
    assert run.err == "error: cannot read counter.py: permission denied\n"
