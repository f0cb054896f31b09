"""The cache may save time and must never do anything else."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from pathlib import Path

import pytest

from pagerace.compiler.ir import Code
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import build, cache
from tests.assembly import U8, Assembly, family, program

CONTENT = b"some object code"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pagerace" / "native"


def plus(number: int) -> Code:
    a = Assembly("f")
    return a.result(a.op("add", a.parameter(U8), number))


def call(number: int) -> int:
    return build.compile_direct([plus(number)]).function("f")(1)


def test_what_was_put_can_be_got(home: Path) -> None:
    name = cache.key("text", "machine")
    assert cache.get(name) is None
    cache.put(name, CONTENT)
    assert cache.get(name) == CONTENT
    assert [file.name for file in home.iterdir()] == [name]
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_key_knows_where_parts_end() -> None:
    assert cache.key("ab", "c") != cache.key("a", "bc")
    assert cache.key("a") == cache.key("a")


def test_code_comes_from_the_cache_the_second_time(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(41) == 42
    assert len(list(home.iterdir())) == 1
    monkeypatch.setattr("pagerace.compiler.native.build._Machine.compile", None)
    assert call(41) == 42
    with pytest.raises(TypeError):
        call(40)  # other code: there is nothing to compile it


def test_an_edit_of_a_protocol_leaves_the_direct_code_in_the_cache(home: Path) -> None:
    for number in (1, 2):
        cells = family("F.f")
        a = Assembly()
        a.store(cells, number)
        generated = program([cells], [a])
        build.compile_program(generated, Layout.of(generated), [plus(1)])
    assert len(list(home.iterdir())) == 3


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "nonsense"])
def test_a_damaged_file_is_made_again(home: Path, damage: str) -> None:
    assert call(41) == 42
    (file,) = home.iterdir()
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes({
        "cut": whole[:middle],
        "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
        "nonsense": b"nonsense" * 100,
    }[damage])  # fmt: skip
    assert call(41) == 42
    assert file.read_bytes() == whole


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_cannot_be_written(home: Path) -> None:
    home.parent.mkdir()
    home.parent.chmod(0o500)
    assert cache.folder() is None
    assert call(41) == 42


def test_a_file_in_the_place_of_the_folder(home: Path) -> None:
    home.parent.write_text("")
    assert cache.folder() is None
    assert call(41) == 42


@pytest.mark.skipif(sys.platform == "win32", reason="no permission bits")
def test_a_folder_that_others_may_write_is_not_trusted(home: Path) -> None:
    assert cache.folder() == home
    home.chmod(0o777)
    assert cache.folder() is None


def test_a_relative_cache_folder_is_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(home.parent.parent))
    assert cache.folder() == home.parent.parent / ".cache" / "pagerace" / "native"


def test_the_longest_unused_files_go_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [cache.key(str(number)) for number in range(8)]
    for age, name in enumerate(names[:-1]):
        cache.put(name, bytes(1000))
        os.utime(home / name, (1000 + age, 1000 + age))
    assert cache.get(names[0]) is not None  # used just now
    monkeypatch.setattr(cache, "BYTES_MAX", 6000)
    cache.put(names[-1], bytes(1000))
    assert sum(file.stat().st_size for file in home.iterdir()) <= 4500
    assert {file.name for file in home.iterdir()} == {names[0], *names[-3:]}


def _put_many(name: str, count: int) -> None:
    for _ in range(count):
        cache.put(name, CONTENT * 1000)


def test_writers_do_not_disturb_readers(home: Path) -> None:
    name = cache.key("shared")
    cache.put(name, CONTENT * 1000)
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_put_many, args=(name, 50)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert cache.get(name) == CONTENT * 1000
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [file.name for file in home.iterdir()] == [name]


def test_threads_may_compile_at_once() -> None:
    results: dict[int, int] = {}

    def work(number: int) -> None:
        results[number] = call(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: number + 1 for number in range(8)}
