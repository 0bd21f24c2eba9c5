"""`mlpipe estimated`: as it is typed, and its figures by hand."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from mlpipe.cli import main
from mlpipe.views.estimated import as_text, rows_of, worth
from mlpipe.views.estimated_page import as_html, picture
from mlpipe.views.frame import INK
from mlpipe_tests.views.story import story


def ended(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["estimated", *args, "--store", story().store])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def watched(partition: str, value: float | None, realised: float | None, *, width: float = 0.05) -> Any:
    """What is read of a monitor's record."""
    low, high = (None, None) if value is None else (value - width, value + width)
    told = {"metric": "roc_auc", "day": {"value": value, "low": low, "high": high, "realised": realised}}
    return SimpleNamespace(partition=partition, data={"version": 1, "estimated": told})


def test_errors_bias_and_coverage_by_hand() -> None:
    rows = rows_of(
        [
            watched("2024-01-30", 0.70, 0.72),
            watched("2024-01-31", 0.70, 0.60),
            watched("2024-02-01", 0.80, 0.76),
            watched("2024-02-02", 0.80, None),
            watched("2024-02-03", None, 0.50),
        ],
        "day",
    )
    found = worth(rows)
    assert found.windows == 3 and found.mae == pytest.approx(0.16 / 3)
    assert found.bias == pytest.approx(-0.12 / 3) and found.coverage == pytest.approx(2 / 3)
    text = as_text("churn", rows, "day")
    lines = [line.split() for line in text.splitlines()]
    assert ["2024-01", "2", "2", "0.7000", "0.6600", "0.0600", "-0.0400", "50%"] in lines
    assert ["2024-02", "2", "1", "0.8000", "0.7600", "0.0400", "-0.0400", "100%"] in lines
    assert "3 compared: mean absolute error 0.0533" in text and "66.7% of the intervals" in text


def test_before_labels_and_without_estimates_it_says_so() -> None:
    assert "No labels are ripe yet" in as_text(
        "churn", rows_of([watched("2024-01-30", 0.7, None)], "day"), "day"
    )
    why: Any = SimpleNamespace(
        partition="2024-01-30", data={"estimated": {"why": "not estimated: regression"}}
    )
    assert "not estimated: regression" in as_text("churn", rows_of([why], "day"), "day")
    old: Any = SimpleNamespace(partition="2024-01-30", data={})
    assert "since there are estimates" in as_text("churn", rows_of([old], "day"), "day")


def test_as_typed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = ended(capsys, "churn", "--html", str(tmp_path / "estimated.html"))
    assert code == 0 and not err, err
    assert "<svg" in (tmp_path / "estimated.html").read_text("utf-8")
    assert (
        "f1 of each partition, estimated before labels (CBPE)" in out
        and "compared: mean absolute error" in out
    )
    told = json.loads(ended(capsys, "churn", "--window", "--json")[1])
    assert told["span"] == "window" and told["windows"] > 0 and 0 <= told["coverage"] <= 1
    assert {r["metric"] for r in told["partitions"]} == {"f1"}
    one = told["partitions"][-1]["partition"]
    told = json.loads(ended(capsys, "churn", "--from", one, "--to", one, "--json")[1])
    assert [r["partition"] for r in told["partitions"]] == [one]


def test_a_picture_has_band_line_and_a_dot_for_each_truth() -> None:
    rows = rows_of(
        [
            watched("2024-01-30", 0.70, 0.72),
            watched("2024-01-31", 0.70, 0.60),
            watched("2024-02-01", None, None),
            watched("2024-02-02", 0.80, None),
        ],
        "day",
    )
    drawn = picture(rows)
    ElementTree.fromstring(drawn)
    assert drawn.count("<polygon") == 2 == drawn.count("<polyline"), "nothing is drawn over the gap"
    truths = [c for c in ElementTree.fromstring(drawn).iter() if c.tag.endswith("circle")][2:]
    assert [c.attrib["stroke"] != INK for c in truths] == [False, True]
    assert "2024-01-31: realised 0.6000, estimated 0.7000 (0.6500 to 0.7500)" in drawn


def test_what_strangers_named_is_escaped_on_the_page() -> None:
    rows = rows_of([watched("<script>x", 0.7, 0.71)], "day")
    told = as_html("<b>churn", rows, "day")
    assert "<script>x" not in told and "<b>churn" not in told and "&lt;b&gt;churn" in told
    nothing = as_html("churn", rows_of([watched("2024-01-30", None, None)], "day"), "day")
    assert "no performance was estimated" in nothing and "<svg" not in nothing


def test_what_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ended(capsys, "chrn")
    assert code == 4 and not out and "churn" in err
    code, out, err = ended(capsys, "churn", "--from", "2031-01-01")
    assert code == 4 and not out and "has no record from 2031-01-01" in err
