"""The pipeline: what is predicted, from what, by what, and when a model may be released."""

import mlpipe as ml
from tunekeep import data, models
from tunekeep.scenario import scenario

NUMBERS = {
    "tenure_days": ml.Column("int", nullable=0, min=0, max=data.LONGEST),
    "days_since_play": ml.Column("int", nullable=0, min=0, max=90),
    "hours_28d": ml.Column("number", nullable=0, min=0, max=672),
    "hours_previous_28d": ml.Column("number", nullable=0, min=0, max=672),
    "skips_rate": ml.Column("number", nullable=0.2, min=0, max=1),
    "playlist_adds_28d": ml.Column("int", nullable=0, min=0, max=500),
    "support_tickets_90d": ml.Column("int", nullable=0, min=0, max=100),
    "failed_payments_90d": ml.Column("int", nullable=0, min=0, max=100),
    "price_change": ml.Column("number", nullable=0, min=-1, max=1),
}
KEYS = ["subscriber_id", "asked_at"]
LATE = scenario().label_delay
"""Labels come late in a world where that is planted; billing then tells them, and else they lie beside the rows."""

pipeline = ml.Pipeline(
    name="tunekeep",
    description="Will this subscriber of a music service leave within 30 days? Asked of each every 30 days.",
    owners=["team:retention"],
    tags={"domain": "music"},
    problem={
        "decision": "Who is offered a month at half the price.",
        "cost_false_positive": "Half a month's price given to someone who would have stayed.",
        "cost_false_negative": "A subscriber is lost, and winning a new one costs six months' price.",
        "intended_use": "Subscribers of the five countries, whatever they pay.",
        "out_of_scope": "Accounts of companies; subscribers who have already given notice.",
    },
    partitions=ml.daily(start="2024-01-01", end="2025-07-01"),
    sources={
        "looks": ml.Load(
            data.rows,
            event_time="asked_at",
            keys=KEYS,
            contract=ml.Contract(
                columns={
                    "segment": ml.Column("string", nullable=0, allowed=list(data.SEGMENTS)),
                    "plan": ml.Column("string", nullable=0, allowed=[*data.PLANS, "free"]),
                    **{
                        name: ml.Column("string", nullable=0, allowed=list(data.TRAITS[name][0]))
                        for name in ("country", "age_band", "device")
                    },
                    **NUMBERS,
                },
                min_rows=100,
            ),
        ),
        **({"outcomes": ml.Load(data.outcomes, event_time="counted_from", keys=KEYS)} if LATE else {}),
    },
    label=ml.Label(
        "churned",
        available_after="30d",
        **({"source": "outcomes", "horizon": f"{LATE.strength:.0f}d"} if LATE else {}),
    ),
    features=list(models.FEATURES),
    model=models.BOOSTING,
    window="240d",
    # Of the last 60 days the newest 30 have no labels yet in the night in which a model is made.
    split=ml.Split(valid="28d", test="60d", embargo="30d"),
    threshold="max_f1",
    metrics=["f1", "roc_auc", "pr_auc", "precision", "recall", "log_loss", "brier"],
    baseline=models.rule,
    slices=["segment", "plan", ["segment", "device"]],
    fairness={"by": ["age_band", "country"]},
    behaviour=[
        {
            "name": "a typo in the country changes no answer",
            "capability": "robust to spelling",
            "test": "invariance",
            "change": {"country": {"typo": 1}},
            "allowed": 0.05,
        },
        {
            "name": "a higher price makes nobody stay",
            "capability": "price",
            "test": "directional",
            "change": {"price_change": "+0.1"},
            "where": {"price_change": 0.0, "segment": ["power", "casual"]},
            "expect": "up",
            "tolerance": 0.05,
            "allowed": 0.05,
        },
    ],
    gates=[
        ml.gate.at_least("f1", 0.6),
        ml.gate.beats_baseline("f1", baseline="rule"),
        ml.gate.beats_champion("f1"),
        ml.gate.no_slice_regresses(by=0.02),
        ml.gate.fair("equal_opportunity_difference", limit=0.1),
        ml.gate.behaves(),
        ml.gate.robust(),
        ml.gate.no_leakage(),
        ml.gate.documented(),
    ],
)
