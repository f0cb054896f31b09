"""Every rule page is true: its wrong example breaks the rule, its right one does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pagerace.cli.load import targets_of
from pagerace.compiler.diagnostic import CompileError
from pagerace.compiler.program import compile_protocol
from pagerace.report import rules
from pagerace.report.verdict import SENTENCES

PREAMBLE = """\
from pagerace.lang import *
from pagerace.lang import drop, per_thread


class Page(Struct):
    dirty: bool
    mapcount: u8
    flags: u8


class pte(BitStruct):
    present: u1
    dirty: u1
    pfn: u2


class Table(Struct):
    entry: Array[pte] = array(4)


page = Page()
table = Table()
pages = pool(Page, 2)
"""

LATE = ["too-many-choices"]  # refused when native code is made
DUMPED = ["not-in-promela"]  # refused when it is to be written for Spin
REFUSED = [slug for slug in rules.slugs() if slug not in [*SENTENCES, *LATE, *DUMPED]]
FOUND = [slug for slug in rules.slugs() if slug in SENTENCES]


def example(slug: str, which: str) -> str:
    """The source of the page's example, with a claim about its last function."""
    page = rules.page(slug)
    match = re.search(which + r":\n\n```python\n(.*?)```", page, re.DOTALL)
    assert match is not None, f"{slug}.md has no example {which!r}"
    source = match[1]
    functions = re.findall(r"^def (\w+)\(", source, re.MULTILINE)
    if "claim = " not in source and functions:
        source += f"\n\nclaim = protocol(threads=[thread({functions[-1]})])\n"
    elif "claim = " not in source:
        source += (
            "\n\ndef run() -> None:\n    pass\n\n\nclaim = protocol(threads=[thread(run)])\n"
        )
    return PREAMBLE + "\n\n" + source


def write(folder: Path, slug: str, which: str) -> str:
    path = folder / f"{slug.replace('-', '_')}_{which.lower()}.py"
    path.write_text(example(slug, which))
    return str(path)


@pytest.mark.parametrize("slug", REFUSED)
def test_wrong_example_is_refused(slug: str, tmp_path: Path) -> None:
    path = write(tmp_path, slug, "Wrong")
    with pytest.raises(CompileError) as refused:
        for target in targets_of([path]):
            compile_protocol(target.protocol, target.name)
    assert slug in [diagnostic.slug for diagnostic in refused.value.diagnostics]


@pytest.mark.parametrize("slug", LATE)
def test_wrong_example_is_refused_late(slug: str, tmp_path: Path) -> None:
    from pagerace.api import check

    (target,) = targets_of([write(tmp_path, slug, "Wrong")])
    with pytest.raises(CompileError) as refused:
        check(target.protocol, claim=target.address)
    assert slug in [diagnostic.slug for diagnostic in refused.value.diagnostics]


@pytest.mark.parametrize("slug", DUMPED)
def test_wrong_example_is_not_written(slug: str, tmp_path: Path) -> None:
    from pagerace.api import dump

    (target,) = targets_of([write(tmp_path, slug, "Wrong")])
    with pytest.raises(CompileError) as refused:
        dump(target.protocol, "promela", claim=target.address)
    assert [diagnostic.slug for diagnostic in refused.value.diagnostics] == [slug]
    assert refused.value.diagnostics[0].help.startswith("arithmetic on int needs more")
    (target,) = targets_of([write(tmp_path, slug, "Right")])
    assert dump(target.protocol, "promela", claim=target.address)


@pytest.mark.parametrize("slug", [*REFUSED, *LATE, *DUMPED])
def test_right_example_is_accepted(slug: str, tmp_path: Path) -> None:
    for target in targets_of([write(tmp_path, slug, "Right")]):
        assert compile_protocol(target.protocol, target.name).processes


@pytest.mark.parametrize("slug", FOUND)
def test_wrong_example_is_found(slug: str, tmp_path: Path) -> None:
    from pagerace.api import check

    (target,) = targets_of([write(tmp_path, slug, "Wrong")])
    asked = slug == "data-race"
    summary = check(target.protocol, claim=target.address, data_races=asked)
    assert summary.execution is not None and summary.execution.violation is not None
    assert summary.execution.violation.slug == slug


@pytest.mark.parametrize("slug", FOUND)
def test_right_example_holds(slug: str, tmp_path: Path) -> None:
    from pagerace.api import check

    (target,) = targets_of([write(tmp_path, slug, "Right")])
    asked = slug == "data-race"
    assert check(target.protocol, claim=target.address, data_races=asked).verdict == "holds"


def test_every_detector_has_a_page() -> None:
    assert set(SENTENCES) <= set(rules.slugs())


def test_every_slug_in_the_compiler_has_a_page() -> None:
    folder = Path(rules.__file__).parents[2] / "compiler"
    used = set()
    for path in folder.rglob("*.py"):
        used |= set(re.findall(r"\"([a-z]+(?:-[a-z]+)+)\"", path.read_text()))
    known = set(rules.slugs())
    assert {slug for slug in used if slug.startswith(("unsupported-", "missing-"))} <= known


@pytest.mark.parametrize("slug", rules.slugs())
def test_page_has_its_form(slug: str) -> None:
    lines = rules.page(slug).splitlines()
    assert lines[0].startswith(f"# {slug}: ")
    assert all(len(line) <= 80 for line in lines), "a page fits in a terminal"


def test_index(snapshot: object) -> None:
    assert rules.index() == snapshot
