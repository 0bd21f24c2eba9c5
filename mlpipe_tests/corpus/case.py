"""A case of the corpus: awkward data, how it is named to `mlpipe init`, and what a sensible person concludes from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

Build = Callable[[Path], str]
DAYS, ROWS = 14, 420


@dataclass(frozen=True)
class Expect:
    """What should be concluded; what is left out does not matter for the case.

    Attributes
    ----------
    time
        The time column; an empty text stands for none.
    every, task, positive, timezone, format
        What may be concluded, one or several.
    start
        First partition, which tells whether days and months were told apart.
    features
        Columns that must be among the features.
    left_out
        Columns that must be none, with a pattern that the reason must match.
    clean
        Settings of `clean` that must be there, by column.
    guess
        A pattern that one of the guesses must match.
    lost
        Share of rows that may be quarantined by the proposed contract, at most.
    learns
        Whether a run must end with a model.
    refused
        A pattern of the sentence with which the data is refused, instead of all the above.
    code
        The exit code of that.
    """

    time: str | None = None
    every: Sequence[str] = ()
    task: Sequence[str] = ()
    positive: Sequence[object] = ()
    timezone: Sequence[str] = ()
    format: str = ""
    rows: int | None = None
    start: str = ""
    features: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    clean: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    guess: str = ""
    lost: float = 0.05
    learns: bool = True
    refused: str = ""
    code: int = 0


@dataclass(frozen=True)
class Case:
    """One awkward data set.

    Attributes
    ----------
    build
        Writes it into a folder and gives what is named to `mlpipe init`; the same bytes at each call.
    time, keys, at
        Options of `mlpipe init`.
    long
        Too large for the quick tests.
    """

    name: str
    build: Build
    expect: Expect
    label: str = "late"
    time: str | None = None
    keys: tuple[str, ...] = ()
    at: str | None = None
    long: bool = False

    def arguments(self, data: str) -> tuple[str, ...]:
        """Command line of `mlpipe init` for what `build` wrote."""
        given = ["init", self.name, "--data", data, "--label", self.label]
        given += [word for key in self.keys for word in ("--key", key)]
        given += ["--time", self.time] if self.time is not None else []
        given += ["--at", self.at] if self.at is not None else []
        return tuple(given)


CASES: list[Case] = []


def case(
    expect: Expect,
    *,
    label: str = "late",
    time: str | None = None,
    keys: Sequence[str] = (),
    at: str | None = None,
    long: bool = False,
) -> Callable[[Build], Build]:
    """Add a function that writes awkward data to the corpus, under its own name."""

    def add(build: Build) -> Build:
        CASES.append(Case(build.__name__, build, expect, label, time, tuple(keys), at, long))
        return build

    return add


def orders(rows: int = ROWS, days: float = DAYS, seed: int = 0, start: str = "2024-01-01") -> pd.DataFrame:
    """Orders in the order of their times: size, load and region say something about `late` (0 or 1); noise does the rest."""
    draw = np.random.default_rng(seed)
    minutes = np.sort(draw.integers(0, int(days * 1440), rows))
    size, load = draw.gamma(4.0, 10.0, rows).round(2), draw.normal(size=rows).round(4)
    region = draw.choice(["north", "south", "west"], rows)
    score = (size - 40) / 20 + load + (region == "west") + draw.normal(scale=0.7, size=rows)
    return pd.DataFrame(
        {
            "at": pd.Timestamp(start) + pd.to_timedelta(minutes, unit="min"),
            "size": size,
            "load": load,
            "region": region,
            "late": (score > np.median(score)).astype(int),
        }
    )


def timeless(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """The same without a time: one partition, which is quick to run."""
    return orders(rows, seed=seed).drop(columns="at")


def csv(frame: pd.DataFrame, folder: Path, name: str = "orders.csv", **options: object) -> str:
    """Write a table as CSV and give its name."""
    frame.to_csv(folder / name, index=False, **options)  # type: ignore[call-overload]
    return name


def parquet(frame: pd.DataFrame, folder: Path, name: str = "orders.parquet") -> str:
    """Write a table as Parquet and give its name."""
    frame.to_parquet(folder / name, index=False)
    return name


def text(folder: Path, content: str | bytes, name: str = "orders.csv") -> str:
    """Write text as it is, without translated line ends, and give its name."""
    raw = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(raw)
    return name


def as_csv(frame: pd.DataFrame, sep: str = ",") -> str:
    """A table as the text of a CSV file."""
    return str(frame.to_csv(index=False, sep=sep, lineterminator="\n"))
