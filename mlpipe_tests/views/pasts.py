"""Pasts to show: one as a pipeline lives it, one that is as full as can be, and some with almost nothing."""

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from mlpipe.views.lived import OUTCOMES, Attempt, Day, Move, Replay

START = datetime(2013, 4, 1, tzinfo=UTC)
GATE = "ROC AUC 0.7312 is at least 0.7; it is not better than the champion by more than chance: +0.0021 [-0.0034, +0.0078]"


def day(n: int, live: float | None = 0.7, fixed: float | None = 0.7, **more: Any) -> Day:
    """The n-th day from the first of April, from 0."""
    start = START + timedelta(days=n)
    given: dict[str, Any] = {
        "version": 1,
        "rows": 800,
        "worst": "dep_delay",
        "psi": 0.1,
        "threshold": 0.2,
        "score_psi": 0.05,
    }
    key, end = f"{start:%Y-%m-%d}", start + timedelta(days=1)
    return Day(key=key, moment=end, live=live, fixed=fixed, **{**given, **more})


def attempt(n: int, outcome: str = "refused", **more: Any) -> Attempt:
    """What was asked for when the n-th day had ended."""
    given: dict[str, Any] = {
        "name": f"drift:1:{n}:1",
        "cause": "drift",
        "reason": "PSI of dep_delay 0.412 over its threshold 0.2",
        "version": 2,
        "why": GATE,
        "metric": 0.7312,
        "rival": 0.7291,
    }
    when = START + timedelta(days=n + 1, hours=3)
    return Attempt(
        key=f"{START + timedelta(days=n):%Y-%m-%d}", moment=when, outcome=outcome, **{**given, **more}
    )


def past(days: Any = (), attempts: Any = (), **more: Any) -> Replay:
    """A replay of flights."""
    given: dict[str, Any] = {
        "pipeline": "flights",
        "first": "2013-04-01",
        "last": "2013-09-30",
        "ledger": "replay-1",
        "policy": "every month, and on drift (each column's own limit), cool-down 14 days",
        "metric": "roc_auc",
        "better": "higher",
    }
    return Replay(days=tuple(days), attempts=tuple(attempts), **{**given, **more})


def lived() -> Replay:
    """Half a year with 14 retrainings, three of them promoted, one fault put in, one crash, and a rollback."""
    draw = random.Random(1)
    promoted = {0: 1, 44: 5, 104: 9}
    asked = [0, 12, 29, 44, 58, 60, 73, 90, 104, 118, 121, 135, 152, 170]
    days, attempts, version = [], [], 0
    for n in range(183):
        worn = 0.05 * n / 183
        base = 0.72 + 0.02 * math.sin(n / 11) + draw.gauss(0, 0.025)
        fixed = base - worn if n > 2 else None
        gain = 0.0 if version == 1 else worn * 0.8 + draw.gauss(0, 0.008)
        live = None if fixed is None else fixed + gain
        psi = 0.12 * math.exp(0.9 * math.sin(n / 17) + draw.gauss(0, 0.25))
        worst = ["dep_delay", "wind_speed", "distance", "carrier"][n // 31 % 4]
        note = "failed: validation" if n in (40, 99, 100) else ""
        days.append(day(n, live, fixed, version=version or None, worst=worst, psi=psi, note=note))
        if n in asked:
            cause = "schedule" if n in (0, 29, 60, 90, 121, 152) else "drift"
            reason = (
                "first night of a month"
                if cause == "schedule"
                else f"PSI of {worst} {psi:.3f} over its threshold 0.2"
            )
            number = asked.index(n) + 1
            outcome = "promoted" if n in promoted else "failed" if n == 118 else "refused"
            attempts.append(
                attempt(n, outcome, cause=cause, reason=reason, version=None if n == 118 else number)
            )
            version = number if n in promoted else version
    attempts.append(
        attempt(105, cause="manual", reason="to see it refused", version=10, injected="shuffled-labels")
    )
    moves = (Move(START + timedelta(days=140), "rollback", 5, "scores looked odd"),)
    return past(days, attempts, moves=moves, live=0.7268, fixed=0.6971, seconds=71.3)


def dense(hours: bool = False) -> Replay:
    """Two years of days with a retraining each third day and many versions; or of hours."""
    draw, days, attempts, version = random.Random(2), [], [], 0
    for n in range(730 * (24 if hours else 1)):
        step = timedelta(hours=1) if hours else timedelta(days=1)
        start = START + n * step
        if n % (72 if hours else 3) == 0:
            version += 1
            fault = "shuffled-labels" if version % 20 == 0 else ""
            attempts.append(
                Attempt(
                    key=f"{start:%Y-%m-%d}",
                    moment=start + step,
                    name=f"schedule:{n}",
                    cause="schedule",
                    reason="a reason " * 50,
                    outcome=draw.choice(["promoted", "refused", "no_model", "failed"]),
                    version=version,
                    why="a gate said so " * 40,
                    metric=draw.random(),
                    rival=draw.random(),
                    injected=fault,
                )
            )
        days.append(
            Day(
                key=f"{start:%Y-%m-%d-%H:%M}" if hours else f"{start:%Y-%m-%d}",
                moment=start + step,
                version=version,
                live=100 + 30 * draw.random(),
                fixed=120 + 30 * draw.random(),
                rows=10,
                worst=f"a_column_with_a_long_name_{n % 9}",
                psi=draw.lognormvariate(-1.5, 1),
                threshold=0.2,
                score_psi=0.1,
                note="failed: raw" if n % 50 == 7 else "",
            )
        )
    return past(days, attempts, metric="rmse", better="lower", live=115.2, fixed=135.1)


@st.composite
def replays(draw: st.DrawFn) -> Replay:
    """Any replay at all: every number may be missing or absurd, every text anything."""
    anything = st.text(max_size=30)
    value = st.none() | st.floats() | st.floats(0, 1)
    length = timedelta(minutes=draw(st.sampled_from([1, 60, 1440, 10080, 43200])))
    moments = st.datetimes(datetime(1950, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))
    begin = draw(moments)
    versions = st.none() | st.integers(1, 999)
    days = [
        Day(
            key=draw(st.just(f"{begin + n * length:%Y-%m-%d}") | anything),
            moment=begin + (n + 1) * length,
            version=draw(versions),
            live=draw(value),
            fixed=draw(value),
            rows=draw(st.integers(0, 10**9)),
            worst=draw(st.none() | anything),
            psi=draw(value),
            threshold=draw(value),
            score_psi=draw(value),
            note=draw(st.just("") | anything),
        )
        for n in range(draw(st.integers(0, 12)))
    ]
    attempts = [
        Attempt(
            key=draw(anything),
            moment=draw(st.just(begin) | moments),
            name=draw(anything),
            cause=draw(anything),
            reason=draw(anything),
            outcome=draw(st.sampled_from([*OUTCOMES, "other"])),
            version=draw(versions),
            why=draw(anything),
            metric=draw(value),
            rival=draw(value),
            injected=draw(st.just("") | anything),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    moves = [Move(draw(moments), draw(anything), 3, draw(anything)) for _ in range(draw(st.integers(0, 2)))]
    given: dict[str, Any] = {
        n: draw(anything) for n in ("pipeline", "first", "last", "ledger", "policy", "metric")
    }
    given |= {"better": draw(st.sampled_from(["higher", "lower"])), "moves": tuple(moves)}
    return past(
        days,
        attempts,
        live=draw(value),
        fixed=draw(value),
        seconds=draw(st.none() | st.floats(0, 1e6)),
        **given,
    )
