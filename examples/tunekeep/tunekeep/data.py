"""The world: subscribers of a music service, what is seen of them every 30 days, and whether they leave within the next 30.

Every seat of the service is taken; whoever leaves is followed by a newcomer, so there are as many subscribers on one day as on another.
A seat is looked at every 30 days, and all seats are spread evenly over them. Random numbers are drawn seat by seat whether they are used
or not: what is planted (`tunekeep.scenario`) changes what follows from it, and no other draw.
"""

from functools import lru_cache

import numpy as np
import pandas as pd

from tunekeep.scenario import CONTROL, Scenario, scenario, spoilt
from tunekeep.truth import SEGMENTS, churn_probability

FIRST, DAYS = np.datetime64("2024-01-01"), 547
"""Eighteen months, to 30 June 2025."""
SEATS, SEED = 11_500, 7
"""Of the frozen world: some 50,000 people hold one of the seats within the eighteen months."""
CYCLE = 30
BURN_IN = 24
"""Cycles that are lived through before the first day, so that the first day is like any other."""
LONGEST = 720
"""Longer tenures are not told apart, in days."""

TRAITS = {
    "segment": (SEGMENTS, (0.53, 0.31, 0.16)),
    "country": (("DE", "FR", "SE", "UK", "US"), (0.22, 0.16, 0.12, 0.2, 0.3)),
    "age_band": (("18-24", "25-34", "35-49", "50+"), (0.28, 0.34, 0.25, 0.13)),
    "device": (("car", "desktop", "mobile", "speaker"), (0.1, 0.18, 0.56, 0.16)),
}
"""What newcomers are, and how often. Of these only the segment has a part in whether they leave."""
PLANS, SHARES = ("family", "individual", "student"), (0.2, 0.55, 0.25)
"""Of those who pay."""
HABIT = np.array([44.0, 13.0, 7.0])
"""Median hours in 28 days, by segment."""
PAUSE = np.array([0.5, 1.6, 3.0])
"""Mean days since the last play, by segment."""
FADED = np.array([19.0, 19.0, 20.0])
"""The same of those who lose interest."""
FADE, RECOVER = 0.17, 0.25
"""Chance to lose interest, and to find it again, from one look to the next."""


def _newcomers(draw: np.ndarray) -> dict[str, np.ndarray]:
    """Traits by uniform draws, shape (6, n)."""
    made = {name: _choice(u, *kinds) for u, (name, kinds) in zip(draw, TRAITS.items(), strict=False)}
    paying = made["segment"] != "free"
    plan = np.where(paying, _choice(draw[4], PLANS, SHARES), "free")
    spread = np.exp(1.1 * (draw[5] - 0.5))
    return {**made, "plan": plan, "habit": HABIT[_code(made["segment"])] * spread}


def _choice(u: np.ndarray, names: tuple[str, ...], shares: tuple[float, ...]) -> np.ndarray:
    return np.array(names)[np.searchsorted(np.cumsum(shares)[:-1], u, side="right")]


def _code(segment: np.ndarray) -> np.ndarray:
    return np.select([segment == s for s in SEGMENTS], range(len(SEGMENTS)))


def _count(u: np.ndarray, mean: np.ndarray | float) -> np.ndarray:
    """Counts with a geometric distribution of that mean."""
    mean = np.maximum(mean, 1e-9)
    return np.floor(np.log1p(-u) / np.log(mean / (1 + mean))).astype(np.int64)


def _seen(
    seats: dict[str, np.ndarray], u: np.ndarray, normal: np.ndarray, days: np.ndarray, plants: Scenario
) -> pd.DataFrame:
    """What is seen of every seat at its look. `u` and `normal`: draws of shape (5, n) and (2, n); `days`: the day of each look."""
    segment, fading = _code(seats["segment"]), seats["fading"]
    less = 1 - plants.strength("covariate_drift", days)
    year = (days - days.astype("datetime64[Y]")).astype(np.int64) / 365.25
    swing = 1 + plants.strength("seasonal_swing", days) * np.cos(2 * np.pi * year)
    appetite = less * np.maximum(swing, 0.1)
    pause = np.where(fading, FADED[segment], PAUSE[segment]) / appetite
    silent = np.minimum(np.floor(-np.log1p(-u[0]) * pause), 90).astype(np.int64)
    hours = seats["habit"] * np.exp(0.3 * normal[0]) * np.where(fading, 0.4, 1.0) * appetite
    hours = np.where(silent >= 28, 0.0, hours * (1 - np.minimum(silent, 28) / 40)).round(2)
    paying = seats["segment"] != "free"
    skips = 1 / (1 + np.exp(0.9 - 0.8 * normal[1]))
    return pd.DataFrame(
        {
            **{name: seats[name] for name in ("segment", "plan", "country", "age_band", "device")},
            "tenure_days": np.minimum(seats["tenure"], LONGEST),
            "days_since_play": silent,
            "hours_28d": hours,
            "hours_previous_28d": seats["before"],
            "skips_rate": np.where(hours > 0, skips.round(3), np.nan),
            "playlist_adds_28d": np.where(hours > 0, _count(u[1], np.sqrt(hours) * 0.9), 0),
            "support_tickets_90d": _count(u[2], 0.35),
            "failed_payments_90d": np.where(paying, _count(u[3], 0.16), 0),
            "price_change": np.where(paying, np.select([u[4] < 0.12, u[4] < 0.28], [0.2, 0.1]), 0.0),
        }
    )


@lru_cache(maxsize=2)
def snapshots(seats: int = SEATS, plants: Scenario = CONTROL, seed: int = SEED) -> pd.DataFrame:
    """Every look at every subscriber in the eighteen months, in order of time.

    Columns: `subscriber_id`, `asked_at` (UTC), what is seen, and `churned`, whether they left within 30 days (0 or 1).

    Parameters
    ----------
    seats
        Subscribers at any one time.
    plants
        What is planted.
    seed
        Of all draws.

    Returns
    -------
    DataFrame
        Kept for the next call: not to be changed.
    """
    chance = np.random.default_rng([seed, 0])
    place = np.arange(seats)
    held: dict[str, np.ndarray] = {
        **_newcomers(chance.random((6, seats))),
        "tenure": np.floor(60 * chance.random(seats)).astype(np.int64),
        "generation": np.zeros(seats, dtype=np.int64),
        "fading": chance.random(seats) < FADE / (FADE + RECOVER),
    }
    held["before"] = held["habit"].round(2)
    frames = []
    for cycle in range(-BURN_IN, DAYS // CYCLE + 1):
        chance = np.random.default_rng([seed, 1 + cycle + BURN_IN])
        u, normal = chance.random((16, seats)), chance.standard_normal((2, seats))
        days = FIRST + (cycle * CYCLE + place % CYCLE).astype("timedelta64[D]")
        rows = _seen(held, u[:5], normal, days, plants)
        leaves = u[5] < churn_probability(rows, plants.strength("concept_drift", days))
        if cycle >= 0:
            moment = days.astype("datetime64[s]") + np.floor(u[6] * 86_400).astype("timedelta64[s]")
            known = {"subscriber_id": place * 100 + held["generation"], "asked_at": moment}
            whole = pd.DataFrame(known).join(rows).assign(churned=leaves.astype(np.int64))
            frames.append(whole[days < FIRST + np.timedelta64(DAYS, "D")])
        held = _next(held, rows, leaves, u[7:])
    table = pd.concat(frames, ignore_index=True).sort_values(["asked_at", "subscriber_id"], ignore_index=True)
    table["asked_at"] = table["asked_at"].astype("datetime64[us]").dt.tz_localize("UTC")
    return spoilt(table, plants, np.random.default_rng([seed, 1_000]))


def _next(
    held: dict[str, np.ndarray], rows: pd.DataFrame, leaves: np.ndarray, u: np.ndarray
) -> dict[str, np.ndarray]:
    """The seats at their next look: who left is followed by a newcomer. `u`: draws of shape (9, n)."""
    new = _newcomers(u[:6])
    came = np.floor(CYCLE * u[6]).astype(np.int64)
    fading = np.where(held["fading"], u[7] >= RECOVER, u[7] < FADE)
    new |= {"tenure": came, "fading": u[8] < 0.5 * FADE, "before": (new["habit"] * 0.9).round(2)}
    stay = {
        **held,
        "tenure": held["tenure"] + CYCLE,
        "fading": fading,
        "before": rows["hours_28d"].to_numpy(),
    }
    after = {name: np.where(leaves, new[name], stay[name]) for name in new}
    return {**after, "generation": held["generation"] + leaves}


def rows(window) -> pd.DataFrame:
    """Looks within a window, in the world that the environment names (`tunekeep.scenario`)."""
    table = snapshots(plants=scenario())
    first, last = table["asked_at"].searchsorted([pd.Timestamp(window.start), pd.Timestamp(window.end)])
    return table.iloc[first:last].reset_index(drop=True)


def outcomes(window) -> pd.DataFrame:
    """Who left, as billing tells it: each look's outcome, under the moment from which the 30 days until it is known are counted.

    That moment is the look's own, but where labels are planted to come later (`Scenario.label_delay`).
    """
    plants = scenario()
    table = snapshots(plants=plants)[["subscriber_id", "asked_at", "churned"]]
    days = table["asked_at"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    late = pd.to_timedelta(plants.strength("label_delay", days), unit="D")
    table = table.assign(counted_from=(table["asked_at"] + late).astype("datetime64[us, UTC]"))
    inside = (table["counted_from"] >= window.start) & (table["counted_from"] < window.end)
    return table[inside].reset_index(drop=True)
