"""Files that are missing, empty, cut short or no table at all: named, and in nobody else's way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlpipe_tests.refusals.conftest import FIRST, LAST, NEXT, TRAINED
from mlpipe_tests.refusals.project import BEFORE, Project, days, orders

ONE = ("run", "shop", "--from", NEXT)
PLACE = f"pipeline shop, source rows, partition {NEXT}: "


def _binary(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 4)


def _ragged(file: Path) -> None:
    file.write_text(file.read_text() + "1,2,3,4,5,6,7\n")


def _cut_in_a_quote(file: Path) -> None:
    file.write_text(file.read_text() + '99,"2024-01-08 23:00')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, ["there is no file ", f"/{NEXT}.csv", f"Did you mean '{TRAINED}.csv'"]),
        (lambda file: file.write_text(""), [f"/{NEXT}.csv is empty", "line of column names"]),
        (_binary, [f"/{NEXT}.csv cannot be read as CSV", "can't decode byte 0x80", "'options'"]),
        (_ragged, ["cannot be read as CSV", "Expected 5 fields in line 14, saw 7", "Mend the file"]),
        (_cut_in_a_quote, ["cannot be read as CSV", "EOF inside string", "Mend the file"]),
    ],
    ids=["missing", "empty", "binary", "ragged", "cut"],
)
def test_a_file_that_cannot_be_read_is_named(
    shop: Project, spoil: Callable[[Path], object], words: list[str]
) -> None:
    spoil(shop.folder / f"data/{NEXT}.csv")
    shop.refused(shop(*ONE), 5, PLACE, *words)
    assert NEXT not in shop.verdicts("raw") and shop.decisions() == BEFORE
    shop.sound()


def test_a_parquet_file_that_was_cut_short_and_then_written_again(shop: Project) -> None:
    file = shop.folder / f"data/{NEXT}.parquet"
    orders(NEXT).to_parquet(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    shop.declare(source='ml.Parquet("data/{partition}.parquet", event_time="at", keys=["order"])')
    text = shop.refused(shop(*ONE), 5, PLACE, f"{file} cannot be read as Parquet", "It may be cut short")
    assert len(text.splitlines()) == 2
    assert NEXT not in shop.verdicts("raw")
    file.write_bytes(whole)
    assert shop(*ONE).code == 0
    assert shop.verdicts("predictions")[NEXT] == "pass"
    shop.sound()


def test_a_day_without_rows_is_said_and_left_out(shop: Project) -> None:
    """It is no error: a shop may be closed. What is made of it says that it is empty."""
    shop.data(NEXT, orders(NEXT).head(0))
    told = shop(*ONE)
    assert told.code == 0 and f"{NEXT}, validated, source rows: there are no rows to predict." in told.out
    found = {a: shop.verdicts(a)[NEXT] for a in ("validated", "features", "labels", "predictions")}
    assert found == {
        "validated": "empty",
        "features": "left_out",
        "labels": "left_out",
        "predictions": "left_out",
    }
    assert shop.decisions() == BEFORE
    shop.sound()


def test_bad_files_hold_up_no_other_day_and_no_training(new: Project) -> None:
    """Of six days one has no file, one no event time: the others come as far as they can, and the bad ones are told in one error."""
    keys = days()
    (new.folder / f"data/{keys[0]}.csv").unlink()
    new.data(keys[3], orders(keys[3]).drop(columns="at"))
    told = new("run", "shop", "--from", FIRST, "--to", LAST, "--train-at", TRAINED, "--watch-to", FIRST)
    text = new.refused(told, 5, "2 of 6 partitions failed", "The others are done.", "there is no column 'at'")
    assert [n for n, key in enumerate(keys) if f"partition {key}: " in text] == [0, 3]
    good = [keys[n] for n in (1, 2, 4, 5)]
    assert "partitions   4, 2024-01-02 to 2024-01-06" in told.out
    for asset in ("raw", "validated", "features", "labels"):
        assert sorted(new.verdicts(asset)) == good, asset
    # Four of six days of the window are there, and four fifths are asked.
    assert new.verdicts("model") == {TRAINED: "refused"} and new.decisions() == []
    assert "only 67% of the window's partitions can be used" in told.out
    new.sound()


def test_many_bad_files_are_counted(new: Project) -> None:
    """At most ten are spelled out."""
    keys = days(count=14)
    for key in keys[:8]:
        (new.folder / f"data/{key}.csv").unlink()
    new.data(keys[13], orders(keys[13]))
    told = new("run", "shop", "--from", keys[0], "--to", keys[13])
    text = new.refused(told, 5, "13 of 14 partitions failed")
    assert text.count("there is no file") == 10 and "… and 3 more" in text
    assert sorted(new.verdicts("labels")) == keys[13:]


def test_a_folder_without_files_and_a_folder_that_is_not_there(new: Project) -> None:
    (new.folder / "empty").mkdir()
    for path, said in (("empty", "holds no files"), ("nowhere/orders.csv", "The folder ")):
        new.declare(source=f'ml.CSV("{path}", event_time="at", keys=["order"])')
        new.refused(new("run", "shop"), 5, "pipeline shop, source rows: ", said, "mend 'path'")
    assert new("store", "verify", "--store", str(new.store)).code in (0, 4)
