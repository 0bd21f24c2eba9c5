"""What a range has come to, in tables; and a pipeline in a paragraph."""

from datetime import UTC, datetime

from mlpipe.ledger.fold import fold
from mlpipe.records.codec import Head
from mlpipe.records.record import Found, Output, Record
from mlpipe.spec.build import build
from mlpipe.stores.verify import Usage
from mlpipe.views.summary import described, sizes, summary

SPEC = {
    "name": "shop",
    "partitions": {"every": "day", "start": "2024-01-01"},
    "source": {"type": "parquet", "path": "{partition}.parquet", "event_time": "at"},
    "label": "late",
    "features": ["size"],
    "model": {"fit": lambda train, valid, params, log: None},
    "task": "binary",
    "window": "10d",
}


def head(asset: str, key: str, verdict: str, output: str = "", **data: object) -> Head:
    outputs = {output: Output(name=output, id="x")} if output else {}
    return Head(f"shop/{asset}", key, "rec", outputs, verdict=verdict, data=data)


def test_rows_failed_days_and_ripe_labels_are_counted() -> None:
    counts = {"raw": 100, "kept": 90, "quarantined": 10, "repaired": 3}
    keys = [f"2024-01-{d:02}" for d in range(1, 8)]
    heads = {
        "validated": {
            k: head("validated", k, "fail" if i else "pass", rows={"a": counts}) for i, k in enumerate(keys)
        },
        "features": {
            keys[0]: head("features", keys[0], "pass", "features"),
            keys[1]: head("features", keys[1], "fail"),
        },
        "labels": {keys[0]: head("labels", keys[0], "ripe"), keys[1]: head("labels", keys[1], "open")},
    }
    text = summary("shop", heads, [], fold(()))
    assert "7, 2024-01-01 to 2024-01-07" in text and "700 frozen, 70 quarantined, 21 repaired" in text
    assert "2024-01-02, 2024-01-03, 2024-01-04, 2024-01-05, 2024-01-06 and 1 more" in text
    assert "features     1 partitions" in text and "labels       1 partitions ripe" in text
    assert "No model was registered." in text and "worst PSI" not in text


def test_a_model_that_was_refused_is_told_in_words() -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    refused = Record(
        pipeline="shop",
        stage="evaluate",
        asset="shop/evaluation",
        partition="2024-01-01",
        as_of=moment,
        recorded_at=moment,
        verdict="no_model",
        findings=(Found(what="only 9 rows"),),
    )
    assert "Nothing was judged for 2024-01-01: only 9 rows." in summary("shop", {}, [refused], fold(()))


def test_of_many_monitored_days_one_a_week_is_shown() -> None:
    keys = [f"2024-01-{d:02}" for d in range(1, 29)]
    monitor = {
        k: head("monitor", k, "stable", version=1, worst_psi=0.125, worst="size", primary="f1") for k in keys
    }
    text = summary("shop", {"monitor": monitor}, [], fold(()))
    shown = [line.split()[0] for line in text.split("\n") if line.startswith("2024-01")]
    assert shown == ["2024-01-07", "2024-01-14", "2024-01-21", "2024-01-28"]
    assert "0.125" in text and "f1 (window)" in text and "–" in text


def test_a_pipeline_in_a_paragraph_says_what_is_off() -> None:
    text = described(build(SPEC), "/store")
    assert text.startswith("shop: good. 1 source (rows), a partition every day from 2024-01-01 in UTC; ")
    assert "learns from 10d" in text and "Its schedule and sensors are off: " in text and "\n" not in text
    assert "Its schedule is off: " in described(build({**SPEC, "retrain": None}), "/store")
    assert " off: " not in described(build({**SPEC, "automation": "on"}), "/store")
    whole = {**SPEC, "partitions": {"every": "none"}, "window": 1, "retrain": None}
    assert "schedule" not in described(build(whole), "/store")


def test_a_pipeline_in_a_paragraph_says_what_a_challenger_must_do() -> None:
    assert "gates: none declared (a challenger must beat the champion by 0.5%). Dep" in described(
        build(SPEC), "/store"
    )
    declared = {**SPEC, "gates": [{"at_least": {"metric": "f1", "value": 0.6}}]}
    assert "gates: at_least(f1, 0.6). Dep" in described(build(declared), "/store")


def test_sizes_are_summed_and_written_in_units_that_fit() -> None:
    text = sizes([Usage("table", 2, 999), Usage("bundle", 1, 1_500_000)])
    assert "999 B" in text and "1.5 MB" in text and text.split("\n")[-1].split() == ["all", "3", "1.5", "MB"]
