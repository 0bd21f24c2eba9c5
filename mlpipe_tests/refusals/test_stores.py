"""A disk that is full or read-only, a store of another version, and objects, records and entries that somebody has changed."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlpipe_tests.refusals.conftest import LAST, NEXT, TRAINED
from mlpipe_tests.refusals.project import BEFORE, Project, days, refusing

ONE = ("run", "shop", "--from", NEXT)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- a disk that refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "after", "words"),
    [
        (errno.EROFS, 0, ["Read-only file system", "mount it read-write, or choose another folder"]),
        (errno.EACCES, 0, ["Permission denied", "This user may not write there"]),
        (errno.ENOSPC, 1, ["No space left on device", "free some space, then run again", "is harmed"]),
        (errno.ENOSPC, 7, ["No space left on device"]),
    ],
)
def test_a_disk_that_refuses_and_then_does_not(
    shop: Project, number: int, after: int, words: list[str]
) -> None:
    """On the way through a day. What was stored before is whole, and the same command goes on when there is space."""
    before = files(shop.store)
    with refusing(number, after):
        shop.refused(shop(*ONE), 8, f"{shop.store}: Could not write '", *words)
    left = files(shop.store)
    assert before.items() <= left.items() and len(left) <= len(before) + after
    shop.sound()
    assert shop.decisions() == BEFORE
    if after == 7:
        assert shop(*ONE).code == 0 and shop.verdicts("predictions")[NEXT] == "pass"
        shop.sound()


def test_a_training_on_a_full_disk_decides_nothing_and_goes_on_later(shop: Project) -> None:
    """Wherever it fills up: at the bundle, the record, the evaluation, or the entry of the ledger."""
    assert shop("run", "shop", "--from", TRAINED).code == 0
    train = ("run", "shop", "--from", TRAINED, "--train-at", NEXT, "--watch-to", TRAINED)
    for after in (5, 10):
        with refusing(errno.ENOSPC, after):
            told = shop(*train)
        if told.code:
            shop.refused(told, 8, "No space left on device")
            shop.sound()
            assert shop.decisions()[:2] == BEFORE
    assert shop(*train).code == 0
    assert "register" in shop.decisions()[2:] and shop.verdicts("model")[NEXT] == "trained"
    shop.sound()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of one megabyte, where this may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here; the same is tried above by refusing each write")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.long
def test_a_real_disk_that_is_full_and_then_read_only(new: Project, small_disk: Path) -> None:
    store = small_disk / "store"
    new.declare(store=repr(str(store)))
    first, last = days()[0], days()[1]
    assert new("run", "shop", "--from", first).code == 0
    filling = small_disk / "filling"
    free = os.statvfs(small_disk)
    filling.write_bytes(b"x" * ((free.f_bavail - 2) * free.f_bsize))
    new.refused(new("run", "shop", "--from", last), 8, f"{store}: Could not write", "No space left on device")
    assert new("store", "verify", "--store", str(store)).code == 0
    filling.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for arguments in (("run", "shop", "--from", last), ("promote", "shop", "1", "--reason", "x")):
        told = new(*arguments)
        assert told.code in (1, 8) and "Traceback" not in told.err
    new.refused(new("run", "shop", "--from", last), 8, "Read-only file system")
    assert new("history", "shop").code == 0 and new("store", "verify", "--store", str(store)).code == 0
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert new("run", "shop", "--from", last).code == 0
    assert new("store", "verify", "--store", str(store)).out.rstrip().endswith("nothing is wrong.")


def test_dagsters_own_databases_on_a_disk_that_refuses(shop: Project) -> None:
    """They lie beside the store. What is said of them is not blamed on the user's code."""
    for file in (shop.home / "history").rglob("*.db"):
        file.write_bytes(b"no database " * 1000)
    told = shop(*ONE)
    shop.refused(told, told.code, str(shop.home), "file is not a database")
    assert told.code in (1, 8)
    shop.sound()


# -- a store that is not ours -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{"format": 2, "what": "mlpipe store"}',
            ["The store has format 2; this mlpipe reads and writes format 1"],
        ),
        ("[1]", ["The store has format None"]),
        ("{", ["store.json: Stored JSON is damaged"]),
    ],
)
def test_a_store_of_another_version_is_left_alone(new: Project, text: str, words: list[str]) -> None:
    new.store.mkdir()
    (new.store / "store.json").write_text(text)
    for arguments in (ONE, ("history", "shop"), ("store", "verify"), ("store", "du")):
        new.refused(new(*arguments), 8, *words)
    assert files(new.store) == {"store.json": text.encode()}


def test_a_store_that_is_a_file_or_an_address_that_nobody_knows(new: Project) -> None:
    (new.folder / "file").write_text("x")
    for store, words in (
        (str(new.folder / "file"), ["Could not write 'store.json'", "A file lies where a folder is needed"]),
        ("ftp://host/store", ["The store URL 'ftp://host/store' is not supported", "s3://bucket/prefix"]),
    ):
        new.declare(store=repr(store))
        new.refused(new(*ONE), 8, *words)
    assert (new.folder / "file").read_text() == "x"


# -- what somebody has changed ------------------------------------------------------------------------------------


def change(file: Path, edit: Callable[[bytes], bytes]) -> None:
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(edit(data))


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def unsound(project: Project, *words: str) -> None:
    told = project("store", "verify")
    assert told.code == 1 and all(w in told.out for w in words), told.out


def champion(shop: Project) -> Path:
    """File of the bundle in production; that of the linear model lies beside it."""
    first = next((shop.store / "ledger").rglob("00000001.json"))
    (found,) = (shop.store / "objects/bundle").rglob(f"{json.loads(first.read_text())['bundle']}.zip")
    return found


def test_a_bundle_with_a_flipped_byte_neither_predicts_nor_comes_back(shop: Project) -> None:
    bundle = champion(shop)
    assert shop("run", "shop", "--from", TRAINED, "--train-at", NEXT).code == 0
    assert shop("promote", "shop", "2", "--reason", "to have an earlier one", "--override").code == 0
    decisions = shop.decisions()
    change(bundle, flipped)
    shop.refused(
        shop("rollback", "shop", "--reason", "complaints"), 8, bundle.stem, "Restore it from a backup"
    )
    assert shop.decisions() == decisions
    unsound(shop, bundle.stem, "Restore it from a backup")
    # Only who needs it is stopped.
    assert shop("run", "shop", "--from", NEXT).code == 0
    change(bundle, flipped)
    assert shop("rollback", "shop", "--reason", "complaints").code == 0
    shop.sound()


def test_a_champion_that_was_tampered_with_makes_no_predictions(shop: Project) -> None:
    bundle = champion(shop)
    change(bundle, flipped)
    shop.refused(shop(*ONE), 8, "pipeline shop, predictions", bundle.stem, "train again")
    # Its rows are there all the same, and the next model can be learned.
    assert NEXT in shop.verdicts("labels") and NEXT not in shop.verdicts("predictions")
    bundle.unlink()
    shop.refused(shop(*ONE), 4, f"The store has no object {bundle.stem}")
    assert shop.decisions() == BEFORE


def test_a_record_cut_in_half_and_an_entry_that_was_edited_are_named(shop: Project) -> None:
    name = shop.records("model")[TRAINED].id
    (record,) = (shop.store / "records").rglob(f"{name}.json")
    change(record, lambda data: data[: len(data) // 2])
    shop.refused(shop(*ONE), 8, name, "a record is damaged", "mlpipe store verify")
    unsound(shop, name)
    (entry,) = (shop.store / "ledger").rglob("00000002.json")
    change(entry, lambda data: data.replace(b'"promote"', b'"refuse"'))
    told = shop(*ONE)
    shop.refused(told, 1, "ledger shop/_/dev, entry 2", "it was edited", "restore the folder from a copy")
    assert shop("history", "shop").code == 1 and shop("ledger", "verify", "shop").code == 1
    unsound(shop, "entry 2")


def test_a_table_that_was_tampered_with_is_found_by_verify(shop: Project) -> None:
    key = shop.records("features")[LAST].outputs[0].id
    (table,) = (shop.store / "objects/table").rglob(f"{key}.parquet")
    change(table, lambda data: data[:-10])
    unsound(shop, key)
    told = shop("run", "shop", "--from", TRAINED, "--train-at", NEXT)
    shop.refused(told, 8, key)
    assert shop.decisions() == BEFORE
