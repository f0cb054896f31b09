"""Known failures: kept by a check, replayed first by the next, forgotten when they are gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import pagerace as package
from pagerace.report.summary import Summary
from pagerace.store import Store, project_root
from tests.cli.conftest import CommandLine
from tests.report import samples

# What is edited between two checks: the model, the property, or nothing but a comment.
RACE = '''\
"""Two CPUs increment a counter, and nobody expects that one increment is lost."""

from pagerace.lang import Struct, atomic, protocol, thread, u8


class Counter(Struct):
    value: u8
    noise: u8


counter = Counter()


def increment() -> None:
    counter.value += 1


def no_lost_update() -> bool:
    return counter.value == 2


race = protocol(
    threads=[thread(increment, cpu=0), thread(increment, cpu=1)], at_end=[no_lost_update]
)
'''
LATER = RACE.replace("    counter.value += 1", "    counter.noise += 1\n    counter.value += 1")
REPAIRED = RACE.replace(
    "    counter.value += 1", "    with atomic():\n        counter.value += 1"
)
NEVER = RACE.replace("== 2", "<= 2")


@pytest.fixture
def project(pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A file with a race, found on a day that never changes."""
    monkeypatch.setattr("pagerace.store.today", lambda: "2026-11-21")
    pagerace.write("race.py", RACE)
    return pagerace


def edit(project: CommandLine, source: str) -> None:
    sys.modules.pop("race", None)
    project.write("race.py", source)


def kept(project: CommandLine) -> list[Path]:
    return sorted((project.folder / ".pagerace").glob("*.json"))


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were searched."""
    from pagerace import search

    found: list[str] = []
    real = search.check

    def check(program: Any, **options: Any) -> Any:
        found.append(program.name)
        return real(program, **options)

    monkeypatch.setattr(search, "check", check)
    return found


def test_unexpected_failure_is_kept(project: CommandLine) -> None:
    run = project("check", "race.py")
    assert (run.code, run.err) == (1, "")
    assert "Known:" not in run.out
    (path,) = kept(project)
    document = json.loads(path.read_text())
    assert (document["claim"], document["violated"]) == ("race.py::race", "no_lost_update")
    assert document["found"] == "2026-11-21"
    assert (path.parent / ".gitignore").read_text().endswith("\n*\n")
    assert sorted(p.name for p in path.parent.iterdir()) == [".gitignore", path.name]


def test_known_failure_of_the_same_model_is_the_answer(
    project: CommandLine, searches: list[str], snapshot: object
) -> None:
    first = project("check", "race.py")
    second = project("check", "race.py")
    assert (second.code, second.err) == (1, "")
    assert searches == ["race"]
    known = [line for line in second.out.splitlines() if line not in first.out.splitlines()]
    assert "\n".join(known) == snapshot
    assert [line for line in first.out.splitlines() if line not in second.out] == []
    assert project("check", "race.py", "-q").out == snapshot
    result = json.loads(project("check", "race.py", "--format", "json").out)["results"][0]
    assert (result["known"], result["verdict"]) == ("2026-11-21", "violated")
    assert result["states"] > 0 and result["execution"]["schedule"] == "0:1,1:2,0:1"


def test_known_failure_that_still_happens_in_a_changed_model(
    project: CommandLine,
    searches: list[str],
    monkeypatch: pytest.MonkeyPatch,
    snapshot: object,
) -> None:
    project("check", "race.py")
    monkeypatch.setattr("pagerace.store.today", lambda: "2026-12-24")
    # The same schedule still loses an update; the first two steps are other ones.
    edit(project, RACE.replace("counter.value == 2", "counter.value >= 2"))
    run = project("check", "race.py")
    assert run.code == 1
    assert run.err == snapshot
    assert "Known:" not in run.out and "Search: shortest" in run.out
    assert searches == ["race", "race"]
    assert json.loads(kept(project)[0].read_text())["found"] == "2026-11-21"
    assert project("check", "race.py", "-q").err == ""
    assert searches == ["race", "race"]


def test_known_failure_stands_where_the_search_for_a_shortest_one_is_cut_off(
    project: CommandLine, snapshot: object
) -> None:
    project("check", "race.py")
    edit(project, RACE.replace("counter.value == 2", "counter.value >= 2"))
    run = project("check", "race.py", "--depth-max", "1")
    assert run.code == 1
    assert run.out == snapshot


def test_schedule_that_no_longer_fits(project: CommandLine, snapshot: object) -> None:
    project("check", "race.py")
    edit(project, REPAIRED)
    run = project("check", "race.py")
    assert run.code == 0
    assert run.err == snapshot
    assert kept(project) == []
    assert project("check", "race.py").err == ""


def test_schedule_that_passes_now(project: CommandLine, snapshot: object) -> None:
    project("check", "race.py")
    edit(project, NEVER)
    run = project("check", "race.py")
    assert run.code == 0
    assert run.err == snapshot
    assert kept(project) == []


def test_schedule_that_ends_too_early_finds_another(project: CommandLine) -> None:
    project("check", "race.py")
    edit(project, LATER)
    run = project("check", "race.py")
    assert run.code == 1
    assert run.err.endswith("passes now; searching anew\n")
    (path,) = kept(project)
    assert json.loads(path.read_text())["execution"]["schedule"] != "0:1,1:2,0:1"


def test_gone_failure_is_forgotten_where_another_is_found(project: CommandLine) -> None:
    project("check", "race.py")
    edit(project, LATER.replace("no_lost_update", "both_count"))
    assert project("check", "race.py").code == 1
    assert [path.name.partition("-")[2][9:] for path in kept(project)] == ["both_count.json"]


def test_what_one_execution_cannot_show_is_searched(
    project: CommandLine, searches: list[str]
) -> None:
    source = (
        "from pagerace.lang import Struct, protocol, thread\n\n\n"
        "class Gate(Struct):\n    shut: bool\n\n\ngate = Gate()\n\n\n"
        "def wait() -> None:\n    while gate.shut:\n        pass\n\n\n"
        "def shut() -> None:\n    gate.shut = True\n\n\n"
        "stuck = protocol(threads=[thread(wait), thread(shut)])\n"
    )
    project.write("stuck.py", source)
    first = project("check", "stuck.py")
    assert first.out.startswith("BUG: livelock")
    assert len(kept(project)) == 1
    again = project("check", "stuck.py")
    assert (again.code, again.err) == (1, "")
    assert "Known:" not in again.out and searches == ["stuck", "stuck"]


def test_gone_failure_is_kept_while_the_search_is_not_complete(project: CommandLine) -> None:
    project("check", "race.py")
    edit(project, NEVER)
    assert project("check", "race.py", "--states-max", "1").code == 3
    assert len(kept(project)) == 1


def test_search_that_contradicts_a_replay_is_a_bug(
    project: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pagerace import search

    project("check", "race.py")
    edit(project, RACE.replace("counter.value == 2", "counter.value >= 2"))
    monkeypatch.setattr(search, "check", lambda program, **_: search.Result(verdict="holds"))
    run = project("check", "race.py")
    assert run.code == 4
    assert "the search finds no violation, and the interpreter runs into one" in run.err


def test_expected_failure_makes_no_folder_and_uses_one(
    project: CommandLine, searches: list[str]
) -> None:
    project("check", "counter.py::plain")
    assert not (project.folder / ".pagerace").exists()
    project("check", "race.py")
    project("check", "counter.py::plain")
    assert len(kept(project)) == 2
    run = project("check", "counter.py::plain")
    assert (run.code, searches) == (1, ["plain", "race", "plain"])
    assert run.out.endswith("(--no-store searches).\nExpected: violated (no_lost_update).\n")


@pytest.mark.parametrize(
    "options", [["--no-store"], ["--all"], ["--reductions", "none"]], ids=lambda o: o[0]
)
def test_search_afresh(project: CommandLine, searches: list[str], options: list[str]) -> None:
    project("check", "race.py", *options)
    assert not (project.folder / ".pagerace").exists()
    project("check", "race.py")
    project("check", "race.py", *options)
    assert searches == ["race"] * 3


def test_store_elsewhere(project: CommandLine, searches: list[str]) -> None:
    project("check", "race.py", "--store", "there/failures")
    assert not (project.folder / ".pagerace").exists()
    assert len(list((project.folder / "there" / "failures").glob("*.json"))) == 1
    project("check", "race.py", "--store", "there/failures")
    assert searches == ["race"]


def test_store_that_is_a_file(project: CommandLine, snapshot: object) -> None:
    run = project("check", "race.py", "--store", "race.py")
    assert (run.code, run.out) == (2, "")
    assert run.err == snapshot


def test_claim_is_the_same_from_another_folder(
    project: CommandLine, searches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project("check", "race.py")
    (project.folder / "inner").mkdir()
    monkeypatch.chdir(project.folder / "inner")
    assert "Known:" in project("check", "../race.py").out
    assert searches == ["race"]


def test_mutants_are_claims_of_their_own(project: CommandLine) -> None:
    source = RACE + (
        "\n\nfrom pagerace.lang import mutant\n"
        "twice = race.replace(mutants={'m': mutant(killed_by='no_lost_update')})\n"
    )
    edit(project, source)
    project("check", "race.py::twice", "race.py::twice[m]")
    assert len(kept(project)) == 2


# -- what may be wrong with a store -------------------------------------------------------

DAMAGED = {
    "empty": "",
    "cut off": '{"schema": "pagerace-failure/1", "claim": "race.p',
    "no object": "[]",
    "no schema": "{}",
    "key is missing": '{"schema": "pagerace-failure/1", "claim": "race.py::race"}',
    "no execution": (
        '{"schema": "pagerace-failure/1", "claim": "c", "found": "d", "model": "m"}'
    ),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_file_is_reported_once(
    case: str, project: CommandLine, snapshot: object
) -> None:
    project("check", "race.py")
    (path,) = kept(project)
    path.write_text(DAMAGED[case])
    run = project("check", "race.py")
    assert run.code == 1
    assert run.err == snapshot
    assert path.with_suffix(".damaged").exists()
    assert project("check", "race.py").err == ""


def test_bytes_that_are_no_text(project: CommandLine) -> None:
    project("check", "race.py")
    kept(project)[0].write_bytes(b"\xff\xfe\x00")
    run = project("check", "race.py")
    assert run.code == 1
    assert "is damaged and ignored" in run.err


def test_file_of_another_version_is_left_alone(project: CommandLine) -> None:
    project("check", "race.py")
    (path,) = kept(project)
    other = path.with_name(path.name.replace("no_lost", "other"))
    other.write_text('{"schema": "pagerace-failure/9"}')
    path.unlink()
    assert project("check", "race.py").err == ""
    assert "is left alone: its schema is" in project("check", "race.py", "-v").err
    assert other.exists()


def test_schedule_of_another_claim(project: CommandLine) -> None:
    project("check", "race.py")
    (path,) = kept(project)
    document = json.loads(path.read_text())
    document["execution"]["schedule"] = "7.nobody:1"
    document["model"] = "another"
    path.write_text(json.dumps(document))
    run = project("check", "race.py")
    assert run.code == 1
    assert "no longer fits:\n  there is no process '7.nobody'" in run.err


def no_writing(*arguments: Any, **options: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("function", ["pathlib.Path.mkdir", "pagerace.store._write"])
def test_folder_that_cannot_be_written(
    function: str, project: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function, no_writing)
    assert project("check", "race.py").err == ""
    run = project("check", "race.py", "-v")
    assert run.code == 1
    assert run.err == "failures are not kept: .pagerace: No space left on device\n"


def test_a_folder_that_was_asked_for_and_cannot_be_written_is_told(
    project: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pagerace.store._write", no_writing)
    run = project("check", "race.py", "--store", "kept")
    assert (run.code, run.err) == (1, "failures are not kept: kept: No space left on device\n")


def test_full_disk_leaves_nothing_behind(
    project: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.replace", no_writing)
    assert project("check", "race.py").code == 1
    assert [p.name for p in (project.folder / ".pagerace").iterdir()] == [".gitignore"]


def test_folder_that_is_a_file(project: CommandLine) -> None:
    project.write(".pagerace", "")
    assert project("check", "race.py").err == ""
    run = project("check", "race.py", "-v")
    assert (run.code, run.err) == (1, "failures are not kept: .pagerace: File exists\n")


def test_not_inside_an_installed_package(
    project: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.folder / "lib" / "site-packages" / "claims"
    folder.mkdir(parents=True)
    (folder / "race.py").write_text(RACE)
    (folder / "pyproject.toml").write_text("")
    monkeypatch.chdir(folder)
    run = project("check", "race.py", "-v")
    assert run.code == 1
    assert "belongs to an installed package" in run.err
    assert not (folder / ".pagerace").exists()
    assert Store.of_project(start=Path(package.__file__).parent).folder is None or (
        project_root(Path(package.__file__).parent) != Path(package.__file__).parent
    )


def test_root_of_a_project(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    assert project_root(inner) == tmp_path
    (tmp_path / "a" / "pyproject.toml").write_text("")
    assert project_root(inner) == tmp_path / "a"


def test_two_at_once(tmp_path: Path) -> None:
    """Many checks keep failures of one claim: each reader sees a whole one."""
    store = Store(tmp_path / ".pagerace", tmp_path)
    execution = samples.madvise_against_numa()

    def work(number: int) -> int:
        store.keep("race.py::race", str(number), execution)
        return len(store.failures("race.py::race"))

    with ThreadPoolExecutor(8) as pool:
        # A folder that is read while a file in it is replaced need not show the file.
        assert set(pool.map(work, range(64))) <= {0, 1}
    assert len(store.failures("race.py::race")) == 1
    assert len(list((tmp_path / ".pagerace").glob("*.json"))) == 1
    assert not list((tmp_path / ".pagerace").glob("*.tmp"))


# -- list, show ---------------------------------------------------------------------------


def test_list_of_failures(project: CommandLine, snapshot: object) -> None:
    assert project("list", "--failures").err == "No known failures in .pagerace.\n"
    project("check", "race.py")
    run = project("list", "--failures")
    assert (run.code, run.out) == (0, snapshot)
    assert project("list", "--failures", "race.py::race").out == run.out
    assert project("list", "--failures", "counter.py").out == ""
    (found,) = json.loads(project("list", "--failures", "--format", "json").out)
    assert (found["steps"], found["found"]) == (4, "2026-11-21")


def test_list_of_another_store(project: CommandLine) -> None:
    project("check", "race.py", "--store", "there")
    assert "race.py::race" in project("list", "--failures", "--store", "there").out
    assert project("list", "--store", "there").code == 2


def test_show_of_a_known_failure(project: CommandLine) -> None:
    project("check", "race.py")
    shown = project("show", str(kept(project)[0].relative_to(project.folder)))
    assert shown.code == 0
    assert shown.out == project("show", "race.py").out


def test_model_is_the_same_in_another_process(project: CommandLine) -> None:
    """No order of a set or of a dictionary is in the digest."""
    source = str(Path(package.__file__).parents[1])
    outputs = [
        subprocess.run(
            [sys.executable, "-m", "pagerace", "check", "race.py", "-q"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": source, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == "race.py::race   VIOLATED: no_lost_update\n"
    assert "(known failure of " in outputs[1]


def test_digest_tells_programs_apart() -> None:
    from pagerace.compiler.digest import digest
    from pagerace.compiler.program import compile_protocol
    from pagerace.protocols import t4_lost_write as t4

    claims = [t4.v6_0, t4.late_rmap_unlocked, t4.v6_0]
    first, other, again = [digest(compile_protocol(claim)) for claim in claims]
    assert first == again != other


def test_summary_of_a_known_failure_is_what_it_expects() -> None:
    known = Summary(
        claim="x", verdict="violated", execution=samples.deadlock(), known="2026-11-21"
    )
    assert known.exit_code == 1 and not known.as_expected
