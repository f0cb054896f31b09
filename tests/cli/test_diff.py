"""``pagerace diff``: what it prints, its exit codes, and what it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from pagerace.oracle import fault_around, judges
from pagerace.oracle.document import program_from_text, program_to_json
from pagerace.oracle.program import CannotJudge, Judge, Munmap, Observation, Program
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


def test_all_programs_run_at_each_value_of_fault_around(
    pagerace: CommandLine, fakes: list[Fake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "fault_around_bytes"
    setting.write_text("65536\n")
    monkeypatch.setattr(fault_around, "place", lambda: setting)
    seen: list[tuple[int | None, str]] = []
    plain = fakes[0].run

    def run(program: Program) -> list[Observation]:
        seen.append((program.fault_around, setting.read_text()))
        return plain(program)

    monkeypatch.setattr(fakes[0], "run", run)
    done = pagerace("diff", *SHORT, "--fault-around", "1,64")
    assert done.code == 0
    assert seen == [(1, "4096")] * 4 + [(64, "262144")] * 4
    assert setting.read_text() == "65536"
    assert "8 programs, " in done.out
    # The setting that somebody else has made is told to the model, and left as it is.
    setting.write_text("4096\n")
    seen.clear()
    assert pagerace("diff", *SHORT).code == 0
    assert (seen, setting.read_text()) == ([(1, "4096\n")] * 4, "4096\n")
    fakes[1].mistake = "errno"
    assert pagerace("diff", "--seed", "7", "--fault-around", "2,1").code == 1
    assert setting.read_text() == "4096"
    setting.unlink()
    done = pagerace("diff", *SHORT, "--fault-around", "1")
    assert done.code == 3
    assert f"{setting}: No such file or directory" in done.out


@pytest.mark.parametrize("text", ["0", "3", "1,x", "1024", ""])
def test_values_of_fault_around_that_cannot_be(
    text: str, pagerace: CommandLine, fakes: list[Fake]
) -> None:
    run = pagerace("diff", "--fault-around", text)
    assert run.code == 2
    assert f"{text!r}: not powers of two from 1 to 512" in run.err
