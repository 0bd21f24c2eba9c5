"""The world of tunekeep: frozen, quiet where nothing is planted, changed by a plant where it says so and nowhere else; and its ladder."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlpipe.stores.tables import canonical, table_id
from mlpipe_tests.house import ROOT

SMALL = 700
"""Seats of a world of some 3,000 subscribers."""
FROZEN = {
    SMALL: ("table-31de3cd952322ed5c2e987da75b31c4475a58deb", 12_768, 3_144),
    11_500: ("table-2e1e06a22ccd984761c31b4f822cde06b0607658", 209_688, 50_146),
}
"""By seats: content id of the table, rows, subscribers."""
LADDER = {
    "no play for 14 days": 0.51,
    "logistic on three": 0.58,
    "forest set by hand": 0.72,
    "tuned boosting": 0.74,
}
BY_SEGMENT = {"power": 0.81, "casual": 0.68, "free": 0.59}
"""F1 that the frozen world was set to: of each rung, and of the highest by segment."""
PLANTED = "2025-02-01"


@pytest.fixture(scope="module")
def project() -> Iterator[SimpleNamespace]:
    """The modules of the project, which no other test sees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples/tunekeep"))
        patch.delenv("TUNEKEEP_SCENARIO", raising=False)
        names = ("scenario", "truth", "data", "models")
        yield SimpleNamespace(
            **{n: import_module(f"tunekeep.{n}") for n in names}, ladder=import_module("ladder")
        )
        for name in [m for m in sys.modules if m.split(".")[0] in ("tunekeep", "ladder")]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def control(project: SimpleNamespace) -> pd.DataFrame:
    made: pd.DataFrame = project.data.snapshots(SMALL)
    return made


def planted(project: SimpleNamespace, text: str) -> pd.DataFrame:
    made: pd.DataFrame = project.data.snapshots(SMALL, project.scenario.scenario(text))
    return made


def from_then(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["asked_at"] >= pd.Timestamp(PLANTED, tz="UTC")]


def one_row(**seen: object) -> pd.DataFrame:
    usual = {
        "segment": "power",
        "plan": "individual",
        "tenure_days": 300,
        "days_since_play": 0,
        "hours_28d": 40.0,
        "hours_previous_28d": 40.0,
        "skips_rate": 0.2,
        "playlist_adds_28d": 5,
        "support_tickets_90d": 0,
        "failed_payments_90d": 0,
        "price_change": 0.0,
    }
    return pd.DataFrame([{**usual, **seen}])


def is_frozen(rows: pd.DataFrame, seats: int) -> None:
    name, count, subscribers = FROZEN[seats]
    assert (len(rows), rows["subscriber_id"].nunique()) == (count, subscribers)
    assert table_id(canonical(rows, ["subscriber_id", "asked_at"])) == name


def test_the_small_world_is_frozen(control: pd.DataFrame) -> None:
    is_frozen(control, SMALL)


@pytest.mark.parametrize(
    ("seen", "reasons", "steep", "reach"),
    [
        ({}, 0.0, 4.8, 1.0),
        ({"price_change": 0.1, "playlist_adds_28d": 2}, 0.9, 4.8, 1.0),
        ({"price_change": 0.1, "playlist_adds_28d": 3}, 0.0, 4.8, 1.0),
        ({"days_since_play": 60, "hours_28d": 0.0, "skips_rate": np.nan}, 0.8 + 0.5, 4.8, 1.0),
        ({"segment": "casual", "failed_payments_90d": 1, "playlist_adds_28d": 0}, 0.8, 2.7, 1.1),
        (
            {"segment": "casual", "failed_payments_90d": 1, "playlist_adds_28d": 0, "plan": "family"},
            0.0,
            2.7,
            1.1,
        ),
        (
            {
                "segment": "free",
                "tenure_days": 74,
                "playlist_adds_28d": 0,
                "support_tickets_90d": 1,
                "skips_rate": 0.4,
            },
            1.2,
            2.9,
            1.13,
        ),
    ],
)
def test_the_truth_adds_up_reasons(
    project: SimpleNamespace, seen: dict[str, object], reasons: float, steep: float, reach: float
) -> None:
    told = project.truth.churn_probability(one_row(**seen))
    # Of silence a trace is left after a play today: 1 / (1 + exp(8 / 1.2)) in the segment that is sure soonest.
    assert told == pytest.approx([1 / (1 + np.exp(-steep * (reasons - reach)))], rel=0.01)


def test_a_drifted_truth_takes_dearness_for_silence(project: SimpleNamespace) -> None:
    silent, dearer = one_row(days_since_play=60), one_row(price_change=0.2)
    before, after = ([project.truth.churn_probability(r, d)[0] for r in (silent, dearer)] for d in (0.0, 1.0))
    assert before[0] > 0.25 > after[0] and before[1] < 0.05 and after[1] > 0.7


def test_as_many_leave_as_the_truth_says(project: SimpleNamespace, control: pd.DataFrame) -> None:
    p = project.truth.churn_probability(control)
    groups = np.digitize(p, [0.02, 0.1, 0.3, 0.6, 0.9])
    for g in np.unique(groups):
        mine = groups == g
        off = (control["churned"][mine] - p[mine]).sum() / np.sqrt((p[mine] * (1 - p[mine])).sum())
        assert abs(off) < 4, f"group {g}"


def test_everyone_is_looked_at_every_thirty_days_until_they_leave(control: pd.DataFrame) -> None:
    days = control["asked_at"].dt.floor("D")
    by = days.groupby(control["subscriber_id"])
    assert set(by.diff().dropna().dt.days) == {30}
    last = days == by.transform("max")
    assert last[control["churned"] == 1].all()
    # Whoever has not left is seen again, as long as the world lasts.
    assert (days[last & (control["churned"] == 0)] > pd.Timestamp("2025-05-31", tz="UTC")).all()
    assert control.groupby(days).size().between(SMALL // 30, SMALL // 30 + 1).all() and days.nunique() == 547


def test_nothing_drifts_where_nothing_is_planted(project: SimpleNamespace) -> None:
    rows = project.data.snapshots(3 * SMALL)
    quarter = np.minimum((rows["asked_at"] - rows["asked_at"].min()).dt.days // 90, 5)
    for name in (
        "churned",
        "days_since_play",
        "hours_28d",
        "tenure_days",
        "playlist_adds_28d",
        "price_change",
    ):
        parts = rows[name].groupby(quarter)
        # The same people are seen in neighbouring quarters, so that their means differ by less than independent ones; tenure by more.
        off = (parts.mean() - rows[name].mean()) / (rows[name].std() / np.sqrt(parts.size()))
        assert off.abs().max() < (8 if name == "tenure_days" else 4), name


@pytest.mark.parametrize(
    "name", ["covariate_drift", "concept_drift", "seasonal_swing", "rows_lost", "column_null", "label_noise"]
)
def test_before_a_plant_the_world_is_the_quiet_one(
    project: SimpleNamespace, control: pd.DataFrame, name: str
) -> None:
    rows = planted(project, f"{name}@{PLANTED}")
    whole, quiet = (r.drop(from_then(r).index) for r in (rows, control))
    pd.testing.assert_frame_equal(whole, quiet)
    assert not from_then(rows).reset_index(drop=True).equals(from_then(control).reset_index(drop=True))


def test_a_plant_ends_when_it_says(project: SimpleNamespace, control: pd.DataFrame) -> None:
    rows = planted(project, f"column_null@{PLANTED}..2025-02-03")
    empty = rows["hours_28d"].isna()
    assert set(rows["asked_at"][empty].dt.strftime("%Y-%m-%d")) == {PLANTED, "2025-02-02", "2025-02-03"}
    assert empty.sum() == from_then(control)["asked_at"].lt(pd.Timestamp("2025-02-04", tz="UTC")).sum()
    pd.testing.assert_frame_equal(rows.drop(columns="hours_28d"), control.drop(columns="hours_28d"))


def test_faults_of_what_arrives_leave_the_world_alone(
    project: SimpleNamespace, control: pd.DataFrame
) -> None:
    noisy, fewer = (
        planted(project, f"label_noise@{PLANTED}:0.1"),
        planted(project, f"rows_lost@{PLANTED}:0.3"),
    )
    pd.testing.assert_frame_equal(noisy.drop(columns="churned"), control.drop(columns="churned"))
    wrong = from_then(noisy)["churned"] != from_then(control)["churned"]
    assert wrong.mean() == pytest.approx(0.1, abs=0.02)
    assert len(from_then(fewer)) / len(from_then(control)) == pytest.approx(0.7, abs=0.03)
    kept = fewer.merge(control, how="left", indicator=True)
    assert (kept["_merge"] == "both").all()


def test_drift_of_covariates_leaves_the_truth_and_drift_of_the_concept_leaves_what_is_seen(
    project: SimpleNamespace, control: pd.DataFrame
) -> None:
    less, other = planted(project, f"covariate_drift@{PLANTED}"), planted(project, f"concept_drift@{PLANTED}")
    truth = project.truth.churn_probability
    hours = [from_then(r)["hours_28d"].mean() for r in (control, less, other)]
    assert hours[1] < 0.6 * hours[0] and hours[2] == pytest.approx(hours[0], rel=0.1)

    def surprise(rows: pd.DataFrame) -> float:
        """Leavers that the quiet truth does not foresee, in standard deviations."""
        p = truth(from_then(rows))
        return float((from_then(rows)["churned"] - p).sum() / np.sqrt((p * (1 - p)).sum()))

    assert abs(surprise(less)) < 4 < surprise(other)


def test_labels_come_late_where_that_is_planted(
    project: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"label_delay@{PLANTED}..2025-02-10:12"
    rows = planted(project, text)
    monkeypatch.setattr(project.data, "snapshots", lambda plants: rows)
    monkeypatch.setenv("TUNEKEEP_SCENARIO", text)

    def told(first: str, last: str) -> pd.DataFrame:
        window = SimpleNamespace(
            start=datetime.fromisoformat(first).replace(tzinfo=UTC),
            end=datetime.fromisoformat(last).replace(tzinfo=UTC),
        )
        found: pd.DataFrame = project.data.outcomes(window)
        return found

    assert len(told("2025-02-01", "2025-02-11")) == 0
    late = told("2025-02-13", "2025-02-14")
    delays = set((late["counted_from"] - late["asked_at"]).dt.days)
    assert delays == {0, 12} and set(told("2025-02-25", "2025-02-26")["asked_at"].dt.strftime("%m-%d")) == {
        "02-25"
    }


@pytest.mark.parametrize(
    "text",
    [
        "drift@2025-01-01",
        "label_noise",
        "label_noise@2025-01-01:2",
        "label_delay@2025-01-01:40",
        "label_noise@2025-01-01 label_noise@2025-02-01",
        "rows_lost@2025-13-01",
    ],
)
def test_what_is_no_plant_is_refused(project: SimpleNamespace, text: str) -> None:
    with pytest.raises(ValueError, match=r"TUNEKEEP_SCENARIO|month"):
        project.scenario.scenario(text)


def test_the_pipeline_is_declared_in_the_quiet_world_and_in_one_of_late_labels(
    project: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text, sources, ripe in (
        ("", {"looks"}, None),
        ("label_delay@2025-02-01:12", {"looks", "outcomes"}, "outcomes"),
    ):
        monkeypatch.setenv("TUNEKEEP_SCENARIO", text)
        sys.modules.pop("tunekeep.pipeline", None)
        spec = import_module("tunekeep.pipeline").pipeline.spec
        assert set(spec.sources) == sources and spec.label.source == ripe


def test_rungs_of_a_small_world_rise(project: SimpleNamespace, control: pd.DataFrame) -> None:
    rungs = project.ladder.ladder(control)
    assert [r.name for r in rungs] == list(LADDER)
    f1 = [r.f1["all"] for r in rungs]
    assert f1 == sorted(f1) and rungs[1].lift.low > 0 and rungs[2].lift.low > 0
    text = project.ladder.table(rungs)
    assert f"{f1[3]:.3f} [" in text and "F1 on 2,1" in text


@pytest.mark.long
def test_the_frozen_world_and_its_ladder(project: SimpleNamespace) -> None:
    rows = project.data.snapshots()
    is_frozen(rows, project.data.SEATS)
    rungs = project.ladder.ladder(rows)
    assert {r.name: r.f1["all"] for r in rungs} == pytest.approx(LADDER, abs=0.02)
    highest = rungs[-1]
    assert {s: highest.f1[s] for s in BY_SEGMENT} == pytest.approx(BY_SEGMENT, abs=0.02)
    assert all(r.lift.low > 0 for r in rungs[1:])
    for rung in rungs:
        assert all(i.low < rung.f1[s] < i.high for s, i in rung.intervals.items())
