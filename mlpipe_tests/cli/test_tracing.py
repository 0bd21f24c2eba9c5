"""`mlpipe trace`, `impact`, `why`, `stale`, `note` as they are typed."""

import csv
import io
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlpipe.cli import main
from mlpipe.index.shelf import open_shelf
from mlpipe_tests.stages.pipelines import day
from mlpipe_tests.views.story import story


def said(capsys: pytest.CaptureFixture[str], *args: str, store: str = "") -> str:
    """What a command prints; it must succeed."""
    with pytest.raises(SystemExit) as end:
        main([*args, "--store", store or story().store])
    out, err = capsys.readouterr()
    assert end.value.code == 0, err
    return out


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[object, str]:
    """Exit code and message of a command that must not succeed."""
    with pytest.raises(SystemExit) as end:
        main([*args, "--store", story().store])
    return end.value.code, capsys.readouterr().err


@pytest.fixture(scope="module")
def prediction() -> str:
    """Id of a prediction."""
    with open_shelf(story().store) as shelf:
        record = shelf.newest("churn/predictions", day(45))
        return str(shelf.store.get_table(record.output("predictions").id)["prediction_id"].iloc[3])


def test_trace_of_a_prediction_is_a_tree_up_to_the_rows(
    capsys: pytest.CaptureFixture[str], prediction: str
) -> None:
    out = said(capsys, "trace", prediction)
    assert (
        out.startswith(f"{prediction} is row ")
        and "churn@2 (production)" in out
        and f"churn/raw {day(45)}" in out
    )
    assert "story.everything" in out
    body = json.loads(said(capsys, "trace", prediction, "--json"))
    assert body["asset"] == "churn/predictions" and {b["asset"] for b in body["inputs"]} == {
        "churn/features",
        "churn/model",
        "churn/validated",
    }


def test_trace_as_of_is_the_version_of_then(capsys: pytest.CaptureFixture[str]) -> None:
    for when, model in ((day(30), day(21)), (day(40), day(36))):
        assert said(capsys, "trace", "churn@production", "--as-of", f"{when}T12:00:00+00:00").startswith(
            f"churn/model {model}"
        )
    assert f"churn/raw {day(3)}" in said(
        capsys, "trace", f"churn/raw@{day(3)}", "--as-of", f"{day(60)}T12:00:00+00:00"
    )
    code, err = refused(capsys, "trace", "churn@production", "--as-of", f"{day(3)}T12:00:00+00:00")
    assert code == 4 and "there was no churn@production" in err
    assert "has no zone" in refused(capsys, "trace", "churn@1", "--as-of", day(3))[1]
    assert (
        "was the same at all times"
        in refused(capsys, "trace", "rec-12", "--as-of", f"{day(3)}T12:00:00+00:00")[1]
    )


def test_impact_says_what_is_live(capsys: pytest.CaptureFixture[str]) -> None:
    assert "LIVE: churn@2" in said(capsys, "impact", "promo")
    assert "No model in production" in said(capsys, "impact", day(10))
    body = json.loads(said(capsys, "impact", "promo", "--json"))
    assert body["live"] == ["churn@2"] and all(n["current"] for n in body["made"]) and body["rebuild"] == []
    assert refused(capsys, "impact", "promo", "--reason", "x")[0] == 2


def test_why_tells_model_features_data_and_code(capsys: pytest.CaptureFixture[str], prediction: str) -> None:
    out = said(capsys, "why", prediction)
    for part in (
        "score",
        "churn@2",
        "quantile",
        "promo",
        f"raw/rows, validated, validated/rows/kept: {day(45)}",
        "story.everything",
    ):
        assert part in out, part
    body = json.loads(said(capsys, "why", prediction, "--json"))
    assert {f["name"] for f in body["features"]} == {"hours", "plays", "city", "promo"}
    assert refused(capsys, "why", "churn@1")[0] == 4


def test_tables_come_as_csv(capsys: pytest.CaptureFixture[str], prediction: str) -> None:
    made = list(csv.DictReader(io.StringIO(said(capsys, "impact", "promo", "--csv"))))
    assert [r["partition"] for r in made if r["in production"] == "churn@2"] == [day(36)] and len(made) > 100
    features = list(csv.DictReader(io.StringIO(said(capsys, "why", prediction, "--csv"))))
    assert {r["feature"] for r in features} == {"hours", "plays", "city", "promo"}
    assert said(capsys, "stale", "--csv").splitlines() == [
        "id,asset,partition,input,input partition,read,newest"
    ]
    assert refused(capsys, "impact", "promo", "--csv", "--rebuild")[0] == 2


def test_stale_says_so_when_nothing_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Nothing is stale" in said(capsys, "stale")
    assert json.loads(said(capsys, "stale", "churn", "--json"))["stale"] == []
    assert "Did you mean 'churn'?" in refused(capsys, "stale", "chur")[1]


def test_each_answer_says_as_of_when_it_is(capsys: pytest.CaptureFixture[str], prediction: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    for line in (
        ("show", "churn@1"),
        ("compare", "churn@1", "churn@2"),
        ("diff", "churn@1", "churn@2"),
        ("trace", "churn@1"),
        ("impact", "promo"),
        ("why", prediction),
        ("stale",),
    ):
        last = said(capsys, *line).strip().splitlines()[-1]
        told = re.fullmatch(r"As of (.+) UTC\.", last)
        assert told is not None, (line, last)
        assert datetime.fromisoformat(f"{told[1]}+00:00") >= before
        assert datetime.fromisoformat(json.loads(said(capsys, *line, "--json"))["as_of"]) >= before


def test_a_note_stays_in_the_store_and_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.copytree(story().store, tmp_path / "store")
    store = str(tmp_path / "store")
    assert "Noted about churn/model" in said(
        capsys, "note", "churn@2", "promo is filled in afterwards", store=store
    )
    json.loads(said(capsys, "note", "churn@2", "and \x1b[2J again", "--json", store=store))
    out = said(capsys, "show", "churn@production", store=store)
    assert "promo is filled in afterwards" in out and "\x1b" not in out
    body = json.loads(said(capsys, "show", "churn@2", "--json", store=store))
    assert [n["text"] for n in body["notes"]] == ["promo is filled in afterwards", "and \x1b[2J again"]
    assert "afterwards" not in said(capsys, "show", "churn@1", store=store)
