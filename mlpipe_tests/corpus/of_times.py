"""Times: spelled in several ways, with and without zones, as numbers, too few, too many, with holes, in the future."""

from pathlib import Path

import numpy as np
import pandas as pd

from mlpipe_tests.corpus.case import Expect, as_csv, case, csv, orders, parquet, text


@case(Expect(time="at", every=("day",), start="2024-01-01", guess="spelled in"))
def several_date_formats(folder: Path) -> str:
    frame = orders()
    forms = ("%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%b %d, %Y", "%Y-%m-%dT%H:%M:%SZ")
    frame["at"] = [t.strftime(forms[i % len(forms)]) for i, t in enumerate(frame["at"])]
    return csv(frame, folder)


@case(Expect(time="ordered", every=("day",), start="2024-03-02"), time="ordered")
def day_first_dates(folder: Path) -> str:
    """From 2 to 15 March: most could be the 3rd of another month, only the last three cannot."""
    frame = orders(start="2024-03-02")
    frame["at"] = frame["at"].dt.strftime("%d/%m/%Y")
    return csv(frame.rename(columns={"at": "ordered"}), folder)


@case(Expect(time="date", every=("day",), start="2024-03-02"))
def month_first_dates_with_am_and_pm(folder: Path) -> str:
    frame = orders(days=20, rows=500, start="2024-03-02")
    frame["at"] = frame["at"].dt.strftime("%m/%d/%Y %I:%M %p")
    return csv(frame.rename(columns={"at": "date"}), folder)


@case(Expect(time="Datum", every=("day",), start="2024-01-08"))
def years_of_two_digits(folder: Path) -> str:
    frame = orders(start="2024-01-08")
    frame["at"] = frame["at"].dt.strftime("%d.%m.%y")
    return csv(frame.rename(columns={"at": "Datum"}), folder)


@case(Expect(time="date", every=("day",), start="2024-01-01", guess="cannot be told"))
def days_that_could_be_months(folder: Path) -> str:
    """From 1 to 12 January, slashes: only their order tells that the second number is the day."""
    frame = orders(days=12)
    frame["at"] = frame["at"].dt.strftime("%m/%d/%Y")
    return csv(frame.rename(columns={"at": "date"}), folder)


@case(Expect(time="ts", every=("day",), start="2024-01-01", guess="seconds since 1970"))
def epoch_seconds(folder: Path) -> str:
    frame = orders()
    frame["at"] = frame["at"].astype("datetime64[s]").astype("int64")
    return csv(frame.rename(columns={"at": "ts"}), folder)


@case(Expect(time="timestamp", every=("day",), start="2024-01-01", guess="milliseconds since 1970"))
def epoch_milliseconds(folder: Path) -> str:
    frame = orders()
    frame["at"] = frame["at"].astype("datetime64[ms]").astype("int64")
    return csv(frame.rename(columns={"at": "timestamp"}), folder)


@case(Expect(time="epoch", every=("day",), start="2024-01-01"), time="epoch")
def epoch_seconds_with_fractions(folder: Path) -> str:
    frame = orders()
    frame["at"] = frame["at"].astype("datetime64[ms]").astype("int64") / 1000 + 0.123
    return csv(frame.rename(columns={"at": "epoch"}), folder)


@case(Expect(time="at", every=("day",), features=("size",)))
def times_with_offsets(folder: Path) -> str:
    frame = orders()
    zones = ("+01:00", "+02:00", "-05:00", "Z")
    frame["at"] = [t.strftime("%Y-%m-%dT%H:%M:%S") + zones[i % 4] for i, t in enumerate(frame["at"])]
    return csv(frame, folder)


@case(Expect(time="at", every=("day",), timezone=("UTC",), guess="no zone", lost=0.0))
def naive_times_over_the_hour_that_comes_twice(folder: Path) -> str:
    frame = orders(days=13, start="2024-10-20")
    frame.loc[frame["at"].dt.date == pd.Timestamp("2024-10-27").date(), "at"] = "2024-10-27 02:30:00"
    frame["at"] = pd.to_datetime(frame["at"]).dt.strftime("%Y-%m-%d %H:%M:%S")
    return csv(frame.sort_values("at", kind="stable"), folder)


@case(Expect(time="at", every=("day",), timezone=("Europe/Berlin",), start="2024-10-20"))
def times_of_a_named_zone(folder: Path) -> str:
    frame = orders(days=13, start="2024-10-20")
    frame["at"] = frame["at"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
    frame["at"] = (
        frame["at"].dt.tz_localize(None).dt.tz_localize("Europe/Berlin", ambiguous=np.ones(len(frame), bool))
    )
    return parquet(frame, folder)


@case(Expect(time="day", every=("day",), start="2024-01-01", guess="YYYYMMDD"))
def days_as_whole_numbers(folder: Path) -> str:
    frame = orders()
    frame["at"] = frame["at"].dt.strftime("%Y%m%d").astype(int)
    return csv(frame.rename(columns={"at": "day"}), folder)


@case(Expect(time="month", every=("month",), start="2021-03-01"))
def months(folder: Path) -> str:
    frame = orders(rows=480, days=720, start="2021-03-01")
    frame["at"] = frame["at"].dt.strftime("%Y-%m")
    return csv(frame.rename(columns={"at": "month"}), folder)


@case(Expect(time="month", every=("month",), start="2021-03-01"))
def names_of_months(folder: Path) -> str:
    frame = orders(rows=480, days=720, start="2021-03-01")
    frame["at"] = frame["at"].dt.strftime("%b %Y")
    return csv(frame.rename(columns={"at": "month"}), folder)


@case(Expect(time="week", every=("week",)))
def one_day_a_week(folder: Path) -> str:
    frame = orders(rows=480, days=7 * 16)
    frame["at"] = frame["at"].dt.to_period("W-SUN").dt.start_time.dt.strftime("%Y-%m-%d")
    return csv(frame.rename(columns={"at": "week"}), folder)


@case(Expect(time="at", every=("hour",), start="2024-01-01T00:00"))
def a_day_by_the_minute(folder: Path) -> str:
    """A sensor's day and a bit: nobody waits for eight days to see whether it works."""
    return csv(orders(rows=600, days=1.2), folder)


@case(Expect(time="", every=("none",), task=("binary",), features=("size", "load", "region")))
def no_time_at_all(folder: Path) -> str:
    return csv(orders().drop(columns="at"), folder)


@case(Expect(time="", every=("none",), left_out={"birth_date": "time"}))
def a_birth_date_is_no_event(folder: Path) -> str:
    frame = orders()
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(
        np.random.default_rng(1).integers(0, 18000, len(frame)), unit="D"
    )
    frame["at"] = born.strftime("%Y-%m-%d")
    return csv(frame.rename(columns={"at": "birth_date"}), folder)


@case(Expect(time="at", every=("day", "week"), features=("size", "load")), long=True)
def hundreds_of_partitions(folder: Path) -> str:
    return csv(orders(rows=3600, days=300), folder)


@case(Expect(time="at", every=("day",), guess="hold no rows"))
def days_without_rows(folder: Path) -> str:
    """No rows at weekends, and none in a whole week."""
    frame = orders(rows=900, days=28)
    week = frame["at"].between("2024-01-15", "2024-01-22")
    return csv(frame[(frame["at"].dt.dayofweek < 5) & ~week], folder)


@case(Expect(time="at", every=("day",)))
def some_days_with_three_rows(folder: Path) -> str:
    frame = orders()
    day = frame["at"].dt.day
    thin = day.isin([3, 7, 8]) & (frame.groupby(day).cumcount() >= 3)
    return csv(frame[~thin], folder)


@case(Expect(time="at", every=("week", "month")))
def three_rows_every_day(folder: Path) -> str:
    return csv(orders(rows=330, days=110), folder)


@case(Expect(time="at", every=("none",), guess="too few"))
def times_of_one_afternoon(folder: Path) -> str:
    return csv(orders(rows=60, days=0.2), folder)


@case(Expect(time="at", every=("day",), guess="future", start="2024-01-01"))
def a_few_times_in_the_future(folder: Path) -> str:
    frame = orders()
    frame.loc[frame.index[-3:], "at"] = pd.Timestamp("2199-01-01")
    return csv(frame, folder)


@case(Expect(time="at", every=("day",), guess="after 2019", start="2019-01-01"))
def a_clock_that_ran_ahead(folder: Path) -> str:
    """One row four years after all others, and not in the future."""
    frame = orders()
    frame["at"] -= pd.Timestamp("2024-01-01") - pd.Timestamp("2019-01-01")
    frame.loc[frame.index[-1], "at"] = pd.Timestamp("2023-06-01")
    return csv(frame, folder)


@case(Expect(time="at", every=("day",), guess="hold no time", lost=0.06))
def some_cells_without_a_time(folder: Path) -> str:
    frame = orders()
    frame["at"] = frame["at"].astype(str)
    frame.loc[::50, "at"] = "unknown"
    frame.loc[5::60, "at"] = ""
    return csv(frame, folder)


@case(
    Expect(
        time="ordered_at",
        every=("day",),
        left_out={"delivered_at": "future|time", "updated_at": "future|time"},
    ),
    at="ordered_at",
)
def times_after_the_prediction(folder: Path) -> str:
    frame = orders().rename(columns={"at": "ordered_at"})
    days = np.where(frame["late"] == 1, 5, 2)
    frame["delivered_at"] = frame["ordered_at"] + pd.to_timedelta(days, unit="D")
    frame["updated_at"] = frame["ordered_at"] + pd.Timedelta(days=40)
    return csv(frame, folder)


@case(Expect(time="", every=("day",), start="2024-01-01", features=("size", "load", "region")))
def a_file_for_each_day(folder: Path) -> str:
    frame = orders()
    (folder / "days").mkdir()
    for day, rows in frame.groupby(frame["at"].dt.date):
        csv(rows.drop(columns="at"), folder / "days", f"{day}.csv")
    return "days"


@case(Expect(time="at", every=("day",), rows=420, features=("size", "load", "region")))
def a_folder_of_parts(folder: Path) -> str:
    frame = orders()
    (folder / "parts").mkdir()
    for number in range(4):
        csv(frame[number::4], folder / "parts", f"export part {number}.csv")
    return "parts"


@case(Expect(time="at", every=("day",)))
def times_in_a_random_order(folder: Path) -> str:
    return csv(orders().sample(frac=1.0, random_state=0), folder)


@case(Expect(time="at", every=("day",), lost=0.0))
def times_that_come_again(folder: Path) -> str:
    frame = orders()
    frame["at"] = frame["at"].dt.floor("12h")
    return csv(frame, folder)


@case(Expect(time="year", every=("none",), task=("binary",)), time="year")
def years(folder: Path) -> str:
    """Years alone cannot be cut into partitions; the latest rows can still judge."""
    frame = orders(rows=400, days=365 * 6, start="2018-01-01")
    frame["at"] = frame["at"].dt.year
    return csv(frame.rename(columns={"at": "year"}), folder)


@case(Expect(time="at", every=("day",), start="1970-01-01"))
def days_in_1970(folder: Path) -> str:
    return csv(orders(start="1970-01-01"), folder)


@case(Expect(time="at", every=("day",)))
def a_line_end_of_its_own_in_every_style(folder: Path) -> str:
    r"""Exports that were put together: \n, \r\n, and an empty line at the end."""
    lines = as_csv(orders()).splitlines()
    return text(folder, "".join(line + ("\r\n" if i % 3 else "\n") for i, line in enumerate(lines)) + "\n\n")
