"""``pagerace diff``: what it prints, its exit codes, and what it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from pagerace.oracle import judges
from pagerace.oracle.document import program_from_text, program_to_json
from pagerace.oracle.program import CannotJudge, Judge, Munmap, Program
from tests.cli.conftest import CommandLine, Run
from tests.oracle.fakes import Fake

SHORT = ("--programs", "4", "--seed", "7", "--calls", "8")


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    """The kernel and mm/ of the test: two fakes, which tests change."""
    made = [Fake(), Fake()]
    monkeypatch.setattr(judges, "kernel_judge", lambda: made[0])
    monkeypatch.setattr(judges, "model_judge", lambda: made[1])
    return made


def _text(run: Run) -> str:
    """What was printed, without times."""
    return re.sub(r"[\d.]+ s$", "0.1 s", run.out, flags=re.MULTILINE)


def test_judges_that_agree(
    pagerace: CommandLine, fakes: list[Fake], snapshot: SnapshotAssertion
) -> None:
    run = pagerace("diff", *SHORT)
    assert (run.code, run.err) == (0, "")
    assert _text(run) == snapshot
    assert all(fake.closed for fake in fakes)


def test_a_difference(
    pagerace: CommandLine, fakes: list[Fake], snapshot: SnapshotAssertion
) -> None:
    fakes[1].mistake = "errno"
    run = pagerace("diff", "--programs", "99", "--seed", "7", "--save", "found.json")
    assert run.code == 1
    assert "BUG: result differs after munmap()" in run.out
    assert run.err == "written: found.json\n"
    saved = program_from_text(Path("found.json").read_text())
    assert saved.calls == (Munmap(0, 0, 0),)
    again = pagerace("diff", "--program", "found.json")
    assert again.code == 1
    assert _text(again) == snapshot


@pytest.mark.parametrize(("name", "has"), [("x.c", "int main(void)"), ("x.py", "Program(")])
def test_the_program_is_written_as(
    name: str, has: str, pagerace: CommandLine, fakes: list[Fake]
) -> None:
    fakes[1].mistake = "errno"
    assert pagerace("diff", "--programs", "99", "--save", name, "-q").code == 1
    assert has in Path(name).read_text()


def test_json(pagerace: CommandLine, fakes: list[Fake]) -> None:
    run = pagerace("diff", *SHORT, "--format", "json")
    document = json.loads(run.out)
    assert (run.code, document["verdict"]) == (0, "agrees")
    assert document["compared"]["programs"] == 4
    assert document["compared"]["calls"] == 32


def test_a_program_has_the_same_number_in_every_run(
    pagerace: CommandLine, fakes: list[Fake]
) -> None:
    fakes[1].mistake = "errno"
    first = pagerace("diff", "--programs", "99", "--seed", "7").out
    number = re.search(r"program (\d+) of seed 7", first)
    assert number is not None
    again = pagerace("diff", "--programs", "1", "--first", number[1], "--seed", "7").out
    assert first.partition("\n  compared")[0] == again.partition("\n  compared")[0]


def test_interrupted(pagerace: CommandLine, fakes: list[Fake]) -> None:
    fakes[0].interrupt_at = 3
    run = pagerace("diff", *SHORT)
    assert run.code == 3
    assert "INCONCLUSIVE: interrupted" in run.out
    assert "2 programs, 16 calls" in run.out


def test_no_kernel_to_ask(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    def cannot() -> Judge:
        raise CannotJudge("this is Darwin, and programs run on Linux only")

    monkeypatch.setattr(judges, "kernel_judge", cannot)
    run = pagerace("diff")
    assert run.code == 3
    assert run.out == snapshot
    run = pagerace("diff", "--format", "json")
    assert run.code == 3
    assert json.loads(run.out)["verdict"] == "inconclusive"


def test_what_the_command_refuses(
    pagerace: CommandLine, fakes: list[Fake], snapshot: SnapshotAssertion
) -> None:
    pagerace.write("text.json", "{\n?")
    wrong = json.loads(json.dumps(program_to_json(Program((Munmap(0, 0, 1),)))))
    wrong["calls"][0]["call"] = "brk"
    pagerace.write("wrong.json", json.dumps(wrong))
    said: list[str] = []
    for arguments in (
        ["--program", "none.json"],
        ["--program", "text.json"],
        ["--program", "wrong.json"],
        ["--save", "program.txt"],
        ["--save", "nowhere/program.c"],
        ["--programs", "0"],
        ["--seed", "x"],
        ["--calls", "1.5"],
    ):
        run = pagerace("diff", *arguments)
        assert (run.code, run.out) == (2, "")
        said.append(f"$ pagerace diff {' '.join(arguments)}\n{run.err}")
    assert "\n".join(said) == snapshot
