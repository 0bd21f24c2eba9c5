"""What every backend owes: subclass it, give a `backend` fixture, get the tests."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlpipe.errors import NotFoundError, StoreError
from mlpipe.stores.backend import Backend, open_backend

BAD_PATHS = [
    "",
    "/a",
    "a//b",
    "a/",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    ".hidden",
    "a\0b",
    "a'b",
    'a"b',
    "a b",
    "a\\b",
    "ä",
    "a\n",
    "x" * 201,
    "tmp/a",
]


class BackendContract:
    """Tests of one backend, on a place of its own."""

    rounds = 20

    def test_the_first_writer_wins_and_nothing_is_overwritten(self, backend: Backend) -> None:
        assert backend.create("a/b.json", b"first") is True
        assert backend.create("a/b.json", b"second") is False
        assert backend.create("a/b.json", b"first") is False
        assert backend.read("a/b.json") == b"first"

    def test_reading_what_is_not_there_is_not_found(self, backend: Backend) -> None:
        assert not backend.exists("no/thing")
        for ask in (backend.read, backend.size):
            with pytest.raises(NotFoundError, match="no/thing"):
                ask("no/thing")

    def test_a_folder_is_no_file(self, backend: Backend) -> None:
        backend.create("folder/file", b"x")
        assert not backend.exists("folder")
        with pytest.raises(NotFoundError):
            backend.read("folder")

    def test_sizes_and_empty_files(self, backend: Backend) -> None:
        backend.create("empty", b"")
        backend.create("three", b"123")
        assert (backend.size("empty"), backend.size("three"), backend.read("empty")) == (0, 3, b"")

    def test_the_list_is_sorted_by_whole_path_and_takes_prefixes_as_folders(self, backend: Backend) -> None:
        paths = ["a/c", "a.x", "a-b/d", "ab", "a/b/c", "a/b.c"]
        for path in paths:
            backend.create(path, path.encode())
        assert list(backend.list()) == [(path, len(path)) for path in sorted(paths)]
        assert [path for path, _ in backend.list("a")] == ["a/b.c", "a/b/c", "a/c"]
        assert list(backend.list("nowhere")) == []
        assert sorted(backend.paths()) == sorted(paths)
        assert sorted(backend.paths("a")) == ["a/b.c", "a/b/c", "a/c"]
        assert list(backend.paths("nowhere")) == []

    @pytest.mark.parametrize("path", BAD_PATHS)
    def test_paths_that_could_leave_the_store_are_refused(self, backend: Backend, path: str) -> None:
        for ask in (backend.read, backend.exists, backend.size):
            with pytest.raises(StoreError):
                ask(path)
        with pytest.raises(StoreError):
            backend.create(path, b"x")

    def test_of_many_threads_exactly_one_creates_and_its_bytes_lie_there(self, backend: Backend) -> None:
        with ThreadPoolExecutor(8) as pool:
            for round_ in range(self.rounds):
                won = list(pool.map(lambda i, r=round_: backend.create(f"race/{r}", b"%d" % i), range(8)))
                assert won.count(True) == 1
                assert backend.read(f"race/{round_}") == b"%d" % won.index(True)

    def test_its_url_and_its_pickle_open_the_same_place(self, backend: Backend) -> None:
        backend.create("here", b"x")
        assert open_backend(backend.url).read("here") == b"x"
        assert pickle.loads(pickle.dumps(backend)).read("here") == b"x"
