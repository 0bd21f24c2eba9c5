"""The folder backend: contract, crashes, full disks, many processes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlpipe.errors import StoreError
from mlpipe.stores.backend import Backend, check_segment, open_backend
from mlpipe.stores.local import LocalBackend
from mlpipe_tests.stores.contract import BackendContract


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    return open_backend(tmp_path / "with space" / "store")


class TestLocalBackend(BackendContract):
    """The contract, on a folder."""


_DIE = """
import os, sys
from pathlib import Path
from mlpipe.stores.local import LocalBackend
real = os.link
def link(source, target):
    if sys.argv[2] == "after":
        real(source, target)
    os._exit(9)
os.link = link
LocalBackend(Path(sys.argv[1])).create("a/b", b"x" * 100)
"""


@pytest.mark.parametrize(("moment", "there"), [("before", False), ("after", True)])
def test_a_writer_that_dies_leaves_all_or_nothing_and_only_garbage(
    tmp_path: Path, moment: str, there: bool
) -> None:
    done = subprocess.run([sys.executable, "-c", _DIE, str(tmp_path), moment], timeout=60, check=False)
    backend = LocalBackend(tmp_path)
    assert done.returncode == 9
    assert backend.temporary() == 1
    assert [path for path, _ in backend.list()] == (["a/b"] if there else [])
    assert backend.create("a/b", b"y") is not there
    assert backend.read("a/b") == (b"x" * 100 if there else b"y")


_RACE = """
import sys
from pathlib import Path
from mlpipe.stores.local import LocalBackend
backend = LocalBackend(Path(sys.argv[1]))
sys.stdin.readline()
print("".join("1" if backend.create(f"race/{i}", sys.argv[2].encode() * 1000) else "0" for i in range(50)))
"""


def test_of_many_processes_exactly_one_creates_each_file(tmp_path: Path) -> None:
    names = "abcd"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    wins = [process.communicate(timeout=60)[0].strip() for process in processes]
    backend = LocalBackend(tmp_path)
    for i in range(50):
        winners = [name for name, won in zip(names, wins, strict=True) if won[i] == "1"]
        assert len(winners) == 1
        assert backend.read(f"race/{i}") == winners[0].encode() * 1000
    assert backend.temporary() == 0


def test_a_link_that_nfs_repeats_is_still_ours(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def link_whose_answer_was_lost(source: Path, target: Path) -> None:
        real(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link_whose_answer_was_lost)
    assert backend.create("a", b"x") is True


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not write"),
        (errno.EOPNOTSUPP, "hard links"),
    ],
)
def test_a_place_that_cannot_be_written_says_why_and_what_to_do(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, number: int, fix: str
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StoreError, match=fix) as caught:
        backend.create("a/b", b"x")
    assert "'a/b'" in str(caught.value)
    assert list(backend.list()) == []
    assert backend.temporary() == 0


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(StoreError, match=r"A file lies where a folder is needed|File exists"):
        LocalBackend(tmp_path).create("a/b", b"x")


def test_files_of_others_are_not_listed(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.create("a/b", b"x")
    for name in (".DS_Store", "a/.nfs000", "a/my notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path for path, _ in backend.list()] == ["a/b"]


def test_a_folder_that_was_deleted_under_a_running_process_is_made_again(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "store")
    backend.create("a/b", b"x")
    (tmp_path / "store").rename(tmp_path / "moved")
    assert backend.create("a/b", b"y") is True


@pytest.mark.parametrize("url", ["gs://bucket/x", "memory://x", "http://x", "file://otherhost/x", "s3://"])
def test_only_proven_backends_are_accepted(url: str) -> None:
    with pytest.raises(StoreError, match="only proven backends") as caught:
        open_backend(url)
    assert url in str(caught.value)


def test_a_segment_is_not_a_path() -> None:
    assert check_segment("2024-01-01=x+y@z_.") == "2024-01-01=x+y@z_."
    for name in ("a/b", "..", "", "a'b", "a\0"):
        with pytest.raises(StoreError):
            check_segment(name)
