"""The pipeline: what is predicted, from what, by what, and when a model may be released."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

import mlpipe as ml
from flights import data


def late(rows: pd.DataFrame) -> pd.Series:
    """Whether a flight arrived more than 15 minutes late; a cancelled or diverted flight has no label."""
    return (rows["arr_delay"] > 15).astype("float64").where(rows["arr_delay"].notna())


def late_rate(rows: pd.DataFrame, past: pd.DataFrame, by: str) -> pd.Series:
    """Share of late arrivals by a column, over the arrivals known at each row's moment of prediction."""
    if past.empty:
        return pd.Series(float("nan"), index=rows.index)
    known = past.sort_values("_known_at", kind="stable")
    sums = known.groupby(by)["label"].agg(["cumsum", "cumcount"])
    known = pd.DataFrame(
        {"_time": known["_known_at"], by: known[by], "rate": sums["cumsum"] / (sums["cumcount"] + 1)}
    )
    asked = rows[["_time", by]].reset_index().sort_values("_time", kind="stable")
    met = pd.merge_asof(asked, known, on="_time", by=by)
    return met.set_index("index")["rate"].reindex(rows.index)


def features(frames: dict[str, pd.DataFrame], history: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What was known one hour before the scheduled departure."""
    rows = frames["flights"]
    local = rows["scheduled"].dt.tz_convert(data.ZONE)
    arrival = rows["sched_arr_time"] // 100 * 60 + rows["sched_arr_time"] % 100
    return pd.DataFrame(
        {
            "hour": local.dt.hour + local.dt.minute / 60,
            "weekday": local.dt.dayofweek,
            "arrival_hour": arrival / 60,
            "carrier": rows["carrier"],
            "origin": rows["origin"],
            "dest": rows["dest"],
            "distance": rows["distance"],
            "plane_age": local.dt.year - rows["planes.year"],
            "seats": rows["planes.seats"],
            **{
                name: rows[f"weather.{name}"]
                for name in (
                    "temp",
                    "dewp",
                    "humid",
                    "wind_speed",
                    "wind_gust",
                    "precip",
                    "pressure",
                    "visib",
                )
            },
            "late_rate_carrier": late_rate(rows, history["labels"], "carrier"),
            "late_rate_origin": late_rate(rows, history["labels"], "origin"),
        },
        index=rows.index,
    )


def rule(rows: pd.DataFrame) -> pd.Series:
    """What an experienced dispatcher might say: the later in the day, the later the flight."""
    return ((rows["hour"] - 5) / 19).clip(0, 1)


pipeline = ml.Pipeline(
    name="flights",
    description="Will this flight from New York arrive more than 15 minutes late? Asked one hour before its scheduled departure.",
    owners=["team:operations"],
    tags={"domain": "aviation"},
    problem={
        "decision": "Which connections to protect before a flight leaves.",
        "cost_false_positive": "A seat is held in vain.",
        "cost_false_negative": "A passenger misses a connection.",
        "intended_use": "Departures from EWR, JFK and LGA, one hour ahead.",
        "out_of_scope": "Cancellations and diversions; other airports.",
    },
    partitions=ml.daily(start="2013-01-01", end="2014-01-01", timezone=data.ZONE),
    sources={
        "flights": ml.Load(
            data.flights,
            event_time="scheduled",
            keys=["scheduled", "carrier", "flight", "origin"],
            contract=ml.Contract(
                columns={
                    "carrier": ml.Column("string", nullable=0, pattern=r"^[A-Z0-9]{2}$"),
                    "origin": ml.Column("string", nullable=0, allowed=["EWR", "JFK", "LGA"]),
                    "dest": ml.Column("string", nullable=0, pattern=r"^[A-Z]{3}$"),
                    "distance": ml.Column("number", nullable=0, min=50, max=6000),
                    "sched_dep_time": ml.Column("int", nullable=0, min=0, max=2400),
                    "sched_arr_time": ml.Column("int", nullable=0, min=0, max=2400),
                    "arr_delay": ml.Column("number", nullable=0.7, min=-120, max=2000),
                },
                min_rows=300,
            ),
        ),
        "weather": ml.Load(
            data.weather,
            event_time="observed",
            keys=["origin", "observed"],
            join={"on": ["origin"], "tolerance": "6h"},
            contract=ml.Contract(
                columns={
                    "temp": ml.Column("number", min=-30, max=130),
                    "visib": ml.Column("number", min=0, max=10),
                }
            ),
        ),
        "planes": ml.CSV(
            str(data.folder() / "planes.csv"),
            keys=["tailnum"],
            join={"on": ["tailnum"]},
            columns=["year", "seats"],
        ),
    },
    lead="1h",
    label=ml.Label(
        late, available_after="1d", outcomes=["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
    ),
    features={"function": features, "look_back": "14d", "calendar": ["hour", "weekday", "arrival_hour"]},
    model=HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.08, max_leaf_nodes=31, early_stopping=False
    ),
    window="90d",
    split=ml.Split(valid="14d", test="14d", embargo="1d"),
    metrics=["roc_auc", "pr_auc", "f1", "precision", "recall", "log_loss", "brier"],
    baseline=rule,
    gates=[
        ml.gate.at_least("roc_auc", 0.6),
        ml.gate.beats_baseline("roc_auc"),
        ml.gate.beats_baseline("roc_auc", baseline="rule"),
        ml.gate.beats_champion("roc_auc"),
        ml.gate.no_slice_regresses(by=0.02),
        ml.gate.robust(),
        ml.gate.no_leakage(),
        ml.gate.lineage_complete(),
        ml.gate.documented(),
    ],
    slices={"by": ["origin", "carrier"], "by_itself": False},
)
