"""Times without a zone, of another day, in the future, in an hour that comes twice or never, and partitions that are not there."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from mlpipe_tests.refusals.conftest import FIRST, NEXT
from mlpipe_tests.refusals.project import BEFORE, Project, days, orders

ONE = ("run", "shop", "--from", NEXT)
WHOLE = 'ml.CSV("orders.csv", event_time="at", keys=["order"])'


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("2024-01-08 00:30+01:00", ["some event times have a zone and some have none", "{to: time}"]),
        ("soon", ["1 event times cannot be read, such as 'soon'", "Write ISO times", "formats"]),
        ("now", ["1 event times cannot be read, such as 'now'"]),
        ("08.01.2024 00:30", ["cannot be read, such as '08.01.2024 00:30'", "'%d.%m.%Y'"]),
    ],
)
def test_times_that_cannot_be_read_are_shown(shop: Project, first: str, words: list[str]) -> None:
    rows = orders(NEXT)
    shop.data(NEXT, rows.assign(at=[first, *rows["at"].astype(str)[1:]]))
    place = f"pipeline shop, source rows, partition {NEXT}, column at: "
    shop.refused(shop(*ONE), 1, place, *words)
    assert NEXT not in shop.verdicts("raw") and shop.decisions() == BEFORE


def test_times_that_are_numbers_are_not_guessed(shop: Project) -> None:
    rows = orders(NEXT)
    shop.data(NEXT, rows.assign(at=rows["at"].astype("int64") // 10**9))
    shop.refused(shop(*ONE), 1, "event times are numbers", "{to: time, formats: [epoch_s]}")


def test_rows_of_another_day_or_of_none_are_quarantined_and_the_day_fails(shop: Project) -> None:
    """A file that is named after a day and holds another."""
    rows = orders(NEXT)
    shop.data(NEXT, rows.assign(at=[*orders(FIRST)["at"][:3], None, *rows["at"][4:]]))
    told = shop(*ONE)
    assert told.code == 0
    said = f"{NEXT}, validated, source rows: 4 of 12 rows break 'at inside the partition': 2024-01-01"
    assert said in told.out
    assert shop.verdicts("validated")[NEXT] == "fail" and shop.verdicts("features")[NEXT] == "left_out"
    assert shop.decisions() == BEFORE
    shop.sound()


def test_rows_in_the_future_are_counted_and_left_out(new: Project) -> None:
    """One has a wrong year, two are of a day that has not ended."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    rows = pd.concat([orders(k) for k in days(count=3)], ignore_index=True)
    rows.loc[0, "at"] = pd.Timestamp("2204-01-01 10:00")
    rows.loc[[1, 2], "at"] = pd.Timestamp(today)
    rows.to_csv(new.folder / "orders.csv", index=False)
    new.declare(source=WHOLE)
    told = new("run", "shop", "--to", days()[2])
    assert sorted(new.verdicts("raw")) == days(count=3)
    assert sum(len(new.table("raw", k)) for k in days(count=3)) == 33
    said = "pipeline shop, source rows: 1 of 36 rows lie in the future, up to 2204-01-01 10:00 UTC, and are left out"
    assert told.code == 0 and said in told.err.replace("\n", " ")
    new.sound()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2024-02-30"), ["unknown partition '2024-02-30'", "look like '2024-01-01'"]),
        (("--from", "2023-12-31"), ["unknown partition '2023-12-31'", "from 2024-01-01, in UTC"]),
        (("--from", "2199-01-01"), ["partition 2199-01-01 has not ended yet", "The newest that has is "]),
        (("--from", FIRST, "--train-at", "2024-1-7"), ["unknown partition '2024-1-7'"]),
        (("--from", FIRST, "--watch-to", "x"), ["unknown partition 'x'"]),
    ],
)
def test_a_partition_that_is_not_there(shop: Project, arguments: tuple[str, ...], words: list[str]) -> None:
    before = len(shop.records("raw"))
    shop.refused(shop("run", "shop", *arguments), 4, *words)
    assert len(shop.records("raw")) == before and shop.decisions() == BEFORE


def test_an_hour_that_comes_twice_and_one_that_never_comes_lose_no_row(new: Project) -> None:
    """Berlin: on 27 October 02:30 came twice, on 31 March never. A time without a zone is the first of two, or the next that comes."""
    keys = ["2024-03-30", "2024-03-31", "2024-10-26", "2024-10-27"]
    rows = pd.concat([orders(k, rows=4) for k in keys], ignore_index=True)
    rows["at"] = [f"{k} {t}" for k in keys for t in ("00:00", "02:30", "03:00", "23:59")]
    rows.to_csv(new.folder / "orders.csv", index=False)
    zone = 'timezone="Europe/Berlin"'
    new.declare(source=WHOLE, partitions=f'ml.daily(start="2024-03-30", {zone})')
    assert new("run", "shop", "--from", "2024-03-30", "--to", "2024-03-31").code == 0
    assert new("run", "shop", "--from", "2024-10-26", "--to", "2024-10-27").code == 0
    assert [len(new.table("raw", k)) for k in keys] == [4, 4, 4, 4]
    assert new.verdicts("validated") == dict.fromkeys(keys, "pass")
    spring, autumn = (new.table("raw", k)["at"].dt.strftime("%H:%M").tolist() for k in (keys[1], keys[3]))
    assert spring == ["23:00", "01:00", "01:00", "21:59"] and autumn == ["22:00", "00:30", "02:00", "22:59"]
    # By hours: the row is in the first of the two, and in no other.
    new.declare(partitions=f'ml.hourly(start="2024-10-27", {zone})', window='"9h"', split=None)
    hours = ("2024-10-27-02:00", "2024-10-27-02:00+0100")
    assert new("run", "shop", "--from", hours[0], "--to", hours[1]).code == 0
    assert [len(new.table("raw", h)) for h in hours] == [1, 0]
    assert new.verdicts("validated")[hours[1]] == "empty"
    new.sound()
