"""What is known of Linux is what the judge says: nothing here is about pagerace's own mm/.

Each fact stands in the kernel's documentation or source; the numbers are those of 4 KiB pages.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

import pytest

from pagerace.oracle.constants import (
    KPF_DIRTY,
    KPF_SWAPBACKED,
    KPF_ZERO_PAGE,
    MADV_DONTNEED,
    MADV_HUGEPAGE,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    MS_SYNC,
    PM_FILE,
    PM_MMAP_EXCLUSIVE,
    PM_PRESENT,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.program import (
    ELSEWHERE,
    END_OF_FILE,
    PAGE,
    WINDOW,
    WINDOW_START,
    Exit,
    File,
    Fork,
    Ftruncate,
    Load,
    Madvise,
    Mmap,
    Mprotect,
    Mremap,
    Msync,
    Munmap,
    Observation,
    Page,
    Pread,
    Program,
    Pwrite,
    Store,
    first_content,
)
from pagerace.oracle.subject import Subject
from tests.oracle.conftest import RunCalls

RW = PROT_READ | PROT_WRITE
ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
KINDS = pytest.mark.parametrize("kind", ["memfd", "file"])


def pages(seen: Observation, process: int = 0) -> Mapping[int, Page]:
    """The pages of a process."""
    space = next(space for space in seen.spaces if space.process == process)
    assert space.pages is not None
    return space.pages


def anonymous(pages: int = 8) -> Mmap:
    return Mmap(0, 0, pages, RW, ANON)


def of_file(flags: int, prot: int = RW, pages: int = 64) -> Mmap:
    return Mmap(0, 0, pages, prot, flags | MAP_FIXED, 0)


@KINDS
@pytest.mark.parametrize("flags", [MAP_SHARED, MAP_PRIVATE])
def test_a_read_fault_maps_sixteen_pages(run_calls: RunCalls, kind: str, flags: int) -> None:
    _, seen = run_calls(of_file(flags), Load(0, 20), files=(File(kind, 64),))
    assert (seen.result, seen.minor, seen.major) == (first_content(0, 20), 1, 0)
    assert sorted(pages(seen)) == list(range(16, 32))
    assert {page.pagemap for page in pages(seen).values()} == {
        PM_PRESENT | PM_FILE | PM_MMAP_EXCLUSIVE
    }
    assert [page.content for page in pages(seen).values()] == [
        first_content(0, index) for index in range(16, 32)
    ]


@KINDS
def test_fault_around_ends_with_the_table_and_the_file(run_calls: RunCalls, kind: str) -> None:
    # Page 128 of the window is the first of the second table.
    place = Mmap(0, 120, 64, PROT_READ, MAP_SHARED | MAP_FIXED, 0)
    _, first, second = run_calls(place, Load(0, 126), Load(0, 130), files=(File(kind, 19),))
    assert sorted(pages(first)) == list(range(120, 128))
    assert sorted(pages(second)) == list(range(120, 139))


@KINDS
def test_a_write_fault_of_a_shared_file_maps_one_page(run_calls: RunCalls, kind: str) -> None:
    _, seen, read = run_calls(
        of_file(MAP_SHARED), Store(0, 20, 5), Pread(0, 0, 20), files=(File(kind, 64),)
    )
    assert seen.minor == 1
    assert [*pages(seen)] == [20]
    assert pages(seen)[20].content == first_content(0, 20) + 5 == read.result


@KINDS
def test_a_private_file_is_copied_on_write(run_calls: RunCalls, kind: str) -> None:
    _, seen, read = run_calls(
        of_file(MAP_PRIVATE), Store(0, 20, 5), Pread(0, 0, 20), files=(File(kind, 64),)
    )
    assert seen.minor == 1
    # Not a page of the file any more.
    assert pages(seen) == {20: pages(seen)[20]._replace(pagemap=PM_PRESENT | PM_MMAP_EXCLUSIVE)}
    assert pages(seen)[20].content == first_content(0, 20) + 5
    assert read.result == first_content(0, 20)


def test_the_zero_page_is_mapped_by_reads_and_copied_by_writes(
    kernel: Kernel, run_calls: RunCalls
) -> None:
    _, load, store = run_calls(anonymous(), Load(0, 1), Store(0, 1, 7))
    assert (load.result, load.minor, store.minor) == (0, 1, 1)
    assert pages(load)[1].pagemap == PM_PRESENT
    assert pages(store)[1].pagemap == PM_PRESENT | PM_MMAP_EXCLUSIVE
    assert pages(store)[1].content == 7
    if kernel.sight().sees("flags"):
        flags = [pages(seen)[1].flags or 0 for seen in (load, store)]
        assert [bool(flag & KPF_ZERO_PAGE) for flag in flags] == [True, False]
        assert pages(store)[1].mapcount == 1


@KINDS
def test_beyond_the_end_of_a_file_is_sigbus(run_calls: RunCalls, kind: str) -> None:
    *_, zapped, load, store, eof = run_calls(
        of_file(MAP_SHARED), Load(0, 20), Ftruncate(0, 0, 18), Load(0, 18), Store(0, 40, 1),
        Pread(0, 0, 18), files=(File(kind, 64),),
    )  # fmt: skip
    assert sorted(pages(zapped)) == [16, 17]
    for seen, page in ((load, 18), (store, 40)):
        assert (seen.signal, seen.code, seen.fault_page) == ("SIGBUS", "BUS_ADRERR", page)
        assert (seen.result, seen.minor) == (0, 0)
    assert eof.result == END_OF_FILE


def test_no_mapping_and_no_permission_are_sigsegv(run_calls: RunCalls) -> None:
    calls = (
        anonymous(2), Store(0, 0, 3), Mprotect(0, 0, 1, PROT_READ), Store(0, 0, 4),
        Mprotect(0, 0, 1, PROT_NONE), Load(0, 0), Load(0, 2),
    )  # fmt: skip
    seen = run_calls(*calls)
    assert [(s.signal, s.code, s.fault_page) for s in (seen[3], seen[5], seen[6])] == [
        ("SIGSEGV", "SEGV_ACCERR", 0),
        ("SIGSEGV", "SEGV_ACCERR", 0),
        ("SIGSEGV", "SEGV_MAPERR", 2),
    ]
    assert pages(seen[3])[0].content == 3
    # Present, as PROT_NONE leaves the page where it is, but nobody can read it.
    assert pages(seen[5])[0] == pages(seen[3])[0]._replace(content=None)
    areas = seen[5].spaces[0].mappings
    assert areas is not None
    assert [(area.start, area.end, area.perms, area.file) for area in areas] == [
        (0, 1, "---p", -1),
        (1, 2, "rw-p", -1),
    ]


def test_dontneed_forgets_what_is_anonymous(run_calls: RunCalls) -> None:
    _, store, dropped, load = run_calls(
        anonymous(), Store(0, 3, 9), Madvise(0, 0, 8, MADV_DONTNEED), Load(0, 3)
    )
    assert [*pages(store)] == [3]
    assert (dropped.result, dict(pages(dropped))) == (0, {})
    assert (load.result, load.minor) == (0, 1)


@pytest.mark.parametrize(("advice", "bits"), [
    (MADV_POPULATE_READ, PM_PRESENT), (MADV_POPULATE_WRITE, PM_PRESENT | PM_MMAP_EXCLUSIVE),
])  # fmt: skip
def test_populate_faults_in_all(run_calls: RunCalls, advice: int, bits: int) -> None:
    _, seen, load = run_calls(anonymous(4), Madvise(0, 1, 2, advice), Load(0, 2))
    if seen.result == -errno.EINVAL:
        pytest.skip("MADV_POPULATE_READ came with Linux 5.14")
    assert {page: look.pagemap for page, look in pages(seen).items()} == {1: bits, 2: bits}
    assert load.minor == 0


def test_a_huge_page_comes_in_one_fault(kernel: Kernel) -> None:
    if reason := kernel.permitted.refused.get("huge_pages"):
        pytest.skip(reason)
    calls = (
        Mmap(0, 128, 512, RW, ANON), Madvise(0, 128, 512, MADV_HUGEPAGE), Store(0, 200, 5),
        Munmap(0, 128, 1), Load(0, 639),
    )  # fmt: skip
    *_, store, unmap, load = kernel.run(Program(calls, window=700))
    if len(pages(store)) == 1:
        pytest.skip("there is no huge page to be had now")
    assert (store.minor, [*pages(store)]) == (1, [*range(128, 640)])
    assert sum(page.content or 0 for page in pages(store).values()) == 5
    assert [*pages(unmap)] == [*range(129, 640)]
    assert load.minor == 0


def test_fork_shares_pages_until_somebody_writes(run_calls: RunCalls) -> None:
    _, before, fork, write, _, again = run_calls(
        anonymous(), Store(0, 1, 5), Fork(0, 1), Store(1, 1, 6), Exit(1), Store(0, 1, 1)
    )
    alone, shared = PM_PRESENT | PM_MMAP_EXCLUSIVE, PM_PRESENT
    assert pages(before)[1].pagemap == alone
    assert (fork.result, [space.process for space in fork.spaces]) == (1, [0, 1])
    assert [pages(fork, process)[1].pagemap for process in (0, 1)] == [shared, shared]
    assert [pages(write, process)[1].content for process in (0, 1)] == [5, 11]
    assert [pages(write, process)[1].pagemap for process in (0, 1)] == [alone, alone]
    # The one that is left reuses its page, after a fault that finds that out.
    assert (again.minor, pages(again)[1].content) == (1, 6)
    assert [space.process for space in again.spaces] == [0]


def test_faults_are_those_of_the_call_alone(run_calls: RunCalls) -> None:
    seen = run_calls(
        anonymous(), Fork(0, 1), Load(1, 0), Load(1, 0), Store(0, 0, 1), Pread(1, 0, 0),
        Pwrite(0, 0, 0, 8), Fork(1, 2), Pread(2, 0, 0), Exit(1), Exit(2),
        files=(File("memfd"),),
    )  # fmt: skip
    assert [look.minor for look in seen] == [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert seen[8].result == 8


def test_results_are_those_of_the_kernel(run_calls: RunCalls) -> None:
    files = (File("memfd", 4, writable=False), File("memfd", 4))
    seen = run_calls(
        Mmap(0, 0, 1, RW, MAP_SHARED | MAP_FIXED, 0),
        Mmap(0, 0, 1, RW, MAP_SHARED | MAP_FIXED, 7),
        Mmap(0, 0, 0, RW, ANON),
        anonymous(),
        Mmap(0, 4, 1, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE),
        Mprotect(0, 4, 8, PROT_READ),
        Mremap(0, 200, 1, 1, 0),
        Mremap(0, 0, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 100),
        Mremap(0, 0, 1, 1, MREMAP_MAYMOVE | MREMAP_FIXED, 20),
        Ftruncate(0, 0, 2),
        Pwrite(0, 1, 5, 77),
        Munmap(0, 0, 256),
        Msync(0, 0, 1, MS_SYNC),
        files=files,
    )
    assert [look.result for look in seen] == [
        -errno.EACCES, -errno.EBADF, -errno.EINVAL, 0, -errno.EEXIST, -errno.ENOMEM,
        -errno.EFAULT, 100, -errno.EFAULT, -errno.EINVAL, 1, 0, -errno.ENOMEM,
    ]  # fmt: skip


def test_what_moves_out_of_the_window_is_unmapped(
    run_calls: RunCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, ...]] = []
    syscall = Subject.syscall
    monkeypatch.setattr(
        Subject, "syscall", lambda self, *a: (made.append(a), syscall(self, *a))[1]
    )
    moved = run_calls(
        anonymous(), Mmap(0, 8, 1, PROT_READ, ANON), Mremap(0, 0, 8, 16, MREMAP_MAYMOVE)
    )[-1]
    areas = moved.spaces[0].mappings
    assert areas is not None
    assert (moved.result, [area.start for area in areas]) == (ELSEWHERE, [8])
    number, address, length = made[-1]
    assert (number, length) == (11, 16 * PAGE)  # munmap()
    assert address // PAGE not in range(WINDOW_START, WINDOW_START + WINDOW)


def test_regular_files_are_clean(kernel: Kernel, run_calls: RunCalls) -> None:
    if not kernel.sight().sees("flags"):
        pytest.skip(kernel.sight().missing["flags"])
    _, seen = run_calls(of_file(MAP_SHARED, PROT_READ), Load(0, 0), files=(File("file"),))
    flags = [page.flags or 0 for page in pages(seen).values()]
    if any(flag & KPF_SWAPBACKED for flag in flags):
        pytest.skip("the temporary folder is in memory, where all pages are dirty")
    assert [flag & KPF_DIRTY for flag in flags] == [0] * 16


def test_mappings_tell_their_file_and_their_sizes(run_calls: RunCalls) -> None:
    seen = run_calls(
        Mmap(0, 2, 4, PROT_READ, MAP_SHARED | MAP_FIXED, 1, 3), Load(0, 2),
        Mmap(0, 10, 4, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED), Store(0, 11, 1),
        files=(File("memfd"), File("file")),
    )[-1]  # fmt: skip
    areas = seen.spaces[0].mappings
    assert areas is not None
    assert [(a.start, a.end, a.perms, a.offset, a.file) for a in areas] == [
        (2, 6, "r--s", 3, 1), (10, 14, "rw-s", 0, -2),
    ]  # fmt: skip
    assert [(a.sizes["Size"], a.sizes["Rss"]) for a in areas] == [(16, 16), (16, 4)]
    assert "wr" in areas[1].vmflags and "wr" not in areas[0].vmflags


def test_programs_do_not_know_of_one_another(kernel: Kernel, run_calls: RunCalls) -> None:
    calls = (anonymous(), Store(0, 0, 1), Fork(0, 1), Store(1, 0, 1), of_file(MAP_SHARED))
    looks = [run_calls(*calls, files=(File("memfd"),)) for _ in range(3)]
    for look in looks:
        assert [seen.result for seen in look] == [0, 0, 1, 0, 0]
        assert [seen.minor for seen in look] == [0, 1, 0, 1, 0]
        assert [pages(seen, 0).keys() for seen in look] == [
            pages(seen, 0).keys() for seen in looks[0]
        ]
