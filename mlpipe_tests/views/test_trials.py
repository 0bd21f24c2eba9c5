"""Tables of trials: what differs, the best first, and day by day beside the own models."""

from typing import Any

from mlpipe.views.trials import as_list, as_text

DAY = {
    "partition": "d1",
    "value": 0.7,
    "own": 0.6,
    "difference": 0.1,
    "low": 0.05,
    "high": 0.15,
    "rows": 1200,
    "note": "few",
}


def comparison(*days: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "metric": "f1",
        "days": list(days),
        "missing": {},
        "mean": 0.1,
        "low": None,
        "high": None,
        "note": "",
        **changes,
    }


def variant(c: float, *records: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made = comparison(DAY) if records else comparison()
    return {
        "set": {"model.C": c, "seed": 1},
        "label": f"model.C={c}",
        "records": list(records),
        "comparison": made,
        **changes,
    }


def record(value: float | None = 0.7, **changes: Any) -> dict[str, Any]:
    metrics = {"f1": [value, 0.6, 0.8], "recall": [0.5, None, None]}
    return {
        "id": "r",
        "partition": "d1",
        "verdict": "pass",
        "reused": False,
        "headline": "",
        "metrics": metrics,
        **changes,
    }


def answer(
    *variants: dict[str, Any], partitions: tuple[str, ...] = ("d1",), experiment: str = ""
) -> dict[str, Any]:
    return {
        "pipeline": "shop",
        "partitions": list(partitions),
        "experiment": experiment,
        "metric": "f1",
        "metrics": ["f1", "recall"],
        "variants": list(variants),
    }


def test_only_what_differs_is_a_column() -> None:
    text = as_text(answer(variant(1.0, record()), variant(2.0, record(0.65, reused=True)), experiment="e"))
    lines = text.splitlines()
    assert lines[0] == "shop: 2 variants for d1 (experiment e); 1 had been tried before, and was found again."
    assert lines[2].split() == ["model.C", "f1", "beside", "own", "model", "recall", "note"]
    assert lines[4].split() == [
        "1.0",
        "0.7000",
        "[0.6000,",
        "0.8000]",
        "+0.1000",
        "[+0.0500,",
        "+0.1500]",
        "0.5000",
    ]
    assert lines[5].endswith("found again") and "seed" not in text


def test_of_several_partitions_means_and_every_day_of_the_best() -> None:
    days = comparison(
        DAY,
        {**DAY, "partition": "d2", "low": None, "high": None},
        missing={"d3": "no own"},
        note="no interval",
    )
    text = as_text(
        answer(variant(1.0, record(0.7), record(0.9), comparison=days), partitions=("d1", "d2", "d3"))
    )
    assert "3 partitions, d1 to d3" in text and "Metrics are means over partitions." in text
    assert "0.8000  +0.1000 (of 2)" in text
    assert (
        "d2" in text
        and "1,200" in text
        and "Of the mean: no interval." in text
        and "Missing: d3: no own." in text
    )


def test_what_failed_or_was_refused_says_so() -> None:
    text = as_text(answer(variant(1.0, record(None, verdict="refused")), variant(2.0)))
    assert text.count("–") >= 3 and "refused" in text and "failed" in text


def test_what_would_be_tried() -> None:
    text = as_list("shop", ["model.C=1", "model.C=2"], ["d1", "d2"])
    assert text.splitlines() == [
        "shop: 2 variants for d1, d2, 4 trainings at most:",
        "  model.C=1",
        "  model.C=2",
    ]


def test_what_folds_came_to_stands_beside_the_test_part() -> None:
    one = variant(0.1, record(folds={"f1": [0.65, 0.6, 0.7]}))
    text = as_text(answer(one, variant(1.0, record())))
    head, _, first, second = text.split("\n\n")[1].splitlines()
    assert "over folds" in head and "0.6500 [0.6000, 0.7000]" in first and "–" in second
    assert "over folds" not in as_text(answer(variant(0.1, record())))
