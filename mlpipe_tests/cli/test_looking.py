"""`mlpipe show`, `compare`, `diff` as they are typed."""

import csv
import io
import json
from pathlib import Path

import pytest

from mlpipe.cli import main
from mlpipe.index.index import Index
from mlpipe_tests.views.story import story


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What a command prints; it must succeed."""
    with pytest.raises(SystemExit) as end:
        main([*args, "--store", story().store])
    out, err = capsys.readouterr()
    assert end.value.code == 0, err
    return out


def test_show_answers_a_screenful(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "show", "churn@production")
    for part in (
        "churn/model 2024-02-06",
        "schedule: nightly",
        "team:churn",
        "churn@2 (production)",
        "features 2024-01-17 to",
        "seeds",
        "f1 on live days",
    ):
        assert part in out, part
    assert len(out.splitlines()) < 60
    assert len(said(capsys, "show", "churn@production", "--all").splitlines()) > 100


def test_show_of_a_run_lists_what_it_made(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "show", "run1")
    assert "made 50 records" in out and out.count("churn/raw") == 50


def test_show_as_json_is_the_whole_record(capsys: pytest.CaptureFixture[str]) -> None:
    body = json.loads(said(capsys, "show", "churn@1", "--json"))
    assert body["record"]["stage"] == "train" and body["versions"] == ["churn@1 (archived)"]
    assert body["evaluation"]["data"]["model_record"] == body["record"]["id"]
    assert body["read_by"]["predictions"] == 15


def test_compare_in_all_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert "sends a new column 'promo'" in said(capsys, "compare", "churn@1", "churn@2")
    body = json.loads(said(capsys, "compare", "churn@1", "churn@2", "--json"))
    assert "promo" in " ".join(body["told"]) and set(body["differences"]["environment"]) == set()
    rows = list(csv.DictReader(io.StringIO(said(capsys, "compare", "churn@1", "churn@2", "--csv", "--all"))))
    assert any(r["section"] == "environment" and r["churn@1"] == r["churn@2"] != "" for r in rows)


def test_compare_needs_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["compare", "churn@1", "--store", story().store])
    assert end.value.code == 2 and "at least two" in capsys.readouterr().err


def test_diff_of_days(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "diff", "churn/raw@2024-01-22", "churn/raw@2024-01-23", "--data")
    assert "+ column promo (float64)" in out and "archive" not in out


def test_what_is_not_there_ends_with_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["show", "churn@9", "--store", story().store])
    assert end.value.code == 4 and "The newest is 2." in capsys.readouterr().err


def test_pages_are_written_where_they_are_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said(capsys, "compare", "churn@1", "churn@2", "--html", str(tmp_path / "c.html"))
    assert "sends a new column" in (tmp_path / "c.html").read_text()
    with pytest.raises(SystemExit) as end:
        main(
            ["compare", "churn@1", "churn@2", "--html", str(tmp_path / "no/c.html"), "--store", story().store]
        )
    assert end.value.code == 1 and "cannot be written" in capsys.readouterr().err


def test_curves_of_a_model_that_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["curves", "churn@1", "--store", story().store])
    assert end.value.code == 4 and "churn@1 has no curves" in capsys.readouterr().err


def test_a_run_that_was_deleted_in_dagster_is_shown_as_such_after_a_sync(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_INDEX", str(tmp_path / "index.sqlite"))
    monkeypatch.setenv("MLPIPE_STORE", story().store)
    for sync in ([], ["--sync"]):
        with pytest.raises(SystemExit) as end:
            main(["show", "churn@1", "--json", *sync])
        out, err = capsys.readouterr()
        assert end.value.code == 0, err
        assert json.loads(out)["deleted"] is False
    with Index.open(str(tmp_path / "index.sqlite")) as index:
        # No instance was asked: what is not known to be gone is there.
        assert index.recall("synced") is not None
        index.mark_deleted([json.loads(out)["record"]["id"]])
    with pytest.raises(SystemExit):
        main(["show", "churn@1"])
    assert "its run was deleted in Dagster; the record stays" in capsys.readouterr().out
