"""What is planted into the world of tunekeep: each fault on its own, dated, and without a trace in anything else.

A scenario is written as text, so that the environment variable `TUNEKEEP_SCENARIO` can name one:
``"concept_drift@2024-11-01"``, ``"rows_lost@2025-02-03..2025-02-05:0.3 label_noise@2025-03-01"``.
"""

import os
import re
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

VARIABLE = "TUNEKEEP_SCENARIO"
"""Environment variable: the plants of the world that the pipeline sees. Unset: the quiet control."""
FORM = re.compile(r"(?P<name>\w+)@(?P<start>[\d-]+)(?:\.\.(?P<end>[\d-]+))?(?::(?P<strength>[\d.]+))?")
USUAL = {
    "covariate_drift": 0.5,
    "concept_drift": 1.0,
    "label_delay": 20.0,
    "seasonal_swing": 0.5,
    "rows_lost": 0.3,
    "column_null": 1.0,
    "label_noise": 0.1,
}
"""Strength of each plant where none is given."""


@dataclass(frozen=True)
class Plant:
    """One fault: from the start of `start` to the end of `end` (None: for good), and how strong it is."""

    start: date
    end: date | None = None
    strength: float = 1.0

    def on(self, days: np.ndarray) -> np.ndarray:
        """Which days it lies on; days as datetime64, any shape."""
        late = days > np.datetime64(self.end) if self.end else np.zeros(days.shape, dtype=bool)
        return (days >= np.datetime64(self.start)) & ~late


@dataclass(frozen=True)
class Scenario:
    """The world's plants; none of them is the quiet control.

    Attributes
    ----------
    covariate_drift
        People listen less (`strength`: the share of hours that is lost) and pause longer. What follows from it is as before.
    concept_drift
        A rival offers a free month: a price that rises makes everyone leave, and a long silence tells little. Nobody listens otherwise.
        `strength` in [0, 1]: how far it goes.
    label_delay
        Who left is told so many days later.
    seasonal_swing
        Hours swing over the year by this share, up in winter.
    rows_lost
        This share of the rows never arrives.
    column_null
        `hours_28d` arrives empty in this share of the rows.
    label_noise
        This share of the labels is recorded wrongly.
    """

    covariate_drift: Plant | None = None
    concept_drift: Plant | None = None
    label_delay: Plant | None = None
    seasonal_swing: Plant | None = None
    rows_lost: Plant | None = None
    column_null: Plant | None = None
    label_noise: Plant | None = None

    def strength(self, name: str, days: np.ndarray) -> np.ndarray:
        """Strength of a plant on each day, 0 where it is not; days as datetime64."""
        plant: Plant | None = getattr(self, name)
        return np.zeros(days.shape) if plant is None else plant.on(days) * plant.strength


CONTROL = Scenario()
"""Nothing is planted: one quiet day after another."""


def scenario(text: str | None = None) -> Scenario:
    """A scenario from its text; None: from the environment.

    Raises
    ------
    ValueError
        A plant that is none, written otherwise, or named twice; a strength out of range.
    """
    text = os.environ.get(VARIABLE, "") if text is None else text
    planted: dict[str, Plant] = {}
    for part in text.replace(",", " ").split():
        found = FORM.fullmatch(part)
        if found is None or found["name"] not in USUAL:
            raise ValueError(
                f"{VARIABLE}: {part!r} is no plant; write <plant>@<first day>..<last day>:<strength>, the last two if needed. "
                f"Plants: {', '.join(USUAL)}"
            )
        name = found["name"]
        if name in planted:
            raise ValueError(f"{VARIABLE}: {name} is planted twice")
        start, end = (date.fromisoformat(d) if d else None for d in (found["start"], found["end"]))
        strength = float(found["strength"] or USUAL[name])
        if not 0 < strength <= (29 if name == "label_delay" else 1):
            raise ValueError(
                f"{VARIABLE}: {part!r} is too strong or too weak; a share in (0, 1], a delay in (0, 29] days"
            )
        assert start is not None
        planted[name] = Plant(start, end, strength)
    return Scenario(**planted)


def spoilt(rows: pd.DataFrame, plants: Scenario, chance: np.random.Generator) -> pd.DataFrame:
    """Rows as they arrive: labels recorded wrongly, a column gone null, rows lost. `chance` serves these faults alone."""
    days = rows["asked_at"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    wrong, empty, lost = (
        chance.random(len(rows)) < plants.strength(n, days)
        for n in ("label_noise", "column_null", "rows_lost")
    )
    rows = rows.assign(
        churned=np.where(wrong, 1 - rows["churned"], rows["churned"]), hours_28d=rows["hours_28d"].mask(empty)
    )
    return rows[~lost].reset_index(drop=True)
