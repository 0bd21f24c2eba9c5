"""What a record keeps beside its numbers: drawn from the very rows that were judged, small in the event, and without secrets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import confusion_matrix

import mlpipe as ml
from mlpipe.records.codec import EVENT_LIMIT, canonical, to_entries
from mlpipe.records.record import Record
from mlpipe.stages import evaluate
from mlpipe.stages.artifacts import SAMPLES, configuration, configured
from mlpipe.stages.frames import DAY, ROW
from mlpipe_tests.stages.pipelines import DATA, FEATURES, TRAINING, World, days, spec_of, written

KEYS = days(8)
SHORT = {"window": "7d", "split": ml.Split(valid="2d", test="2d")}
SECRET = "hunter2-" + "f3a9c1"
TOKEN = "ghp_" + "a1B2" * 9

PROBED = {"lineage", "robustness", "leakage"}
"""Reports of the probes whose gates stand where none is declared."""


def told(frame: pd.DataFrame) -> pd.DataFrame:
    names = np.where(frame["plays"] > 4, f"see https://a:{SECRET}@x/", f"{TOKEN} " + "long " * 90)
    return frame.assign(
        password=SECRET,
        client_secret=frame["user"] % 9999,
        city=names,
        grade=np.where(frame["hours"] > 8, "high", np.where(frame["hours"] > 3, "middle", "low")),
        score=3 * frame["hours"] - frame["plays"],
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("artifacts"), KEYS, **{f"d{n}": told for n in range(8)})


def judged(data: Path, world: World, **settings: Any) -> tuple[Record, dict[str, Any]]:
    spec = spec_of(data, **{**SHORT, "features": FEATURES, **settings})
    world.run_all(DATA, spec, KEYS)
    record = world.run_all(TRAINING[:2], spec, [KEYS[-1]])["evaluate"][KEYS[-1]]
    return record, {a.name: world.store.get_json(a.id) for a in record.artifacts}


def test_an_evaluation_keeps_what_can_be_drawn(data: Path, tmp_path: Path) -> None:
    world = World(tmp_path)
    record, kept = judged(data, world, model=LogisticRegression(max_iter=500))
    drawn = {"confusion", "roc", "precision_recall", "calibration", "samples", "configuration"}
    assert set(kept) == drawn | PROBED
    table = world.table(record, "scored")
    threshold = kept["confusion"]["threshold"]
    expected = confusion_matrix(table["y"], table["score"] >= threshold)
    assert kept["confusion"]["matrix"] == expected.tolist() and kept["confusion"]["classes"] == ["0", "1"]
    area = next(m.value for m in record.metrics if m.name == "roc_auc" and m.split == "test")
    curve = kept["roc"]["1"]
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(area, abs=0.01)
    assert sum(g["rows"] for g in kept["calibration"]["1"]) == len(table)
    assert record.plots == {"confusion": kept["confusion"], "calibration": kept["calibration"]}
    entries = to_entries(record)
    assert entries["plots"] == record.plots and len(canonical(entries)) < EVENT_LIMIT
    again = world.run(
        evaluate.STAGE,
        spec_of(data, **SHORT, features=FEATURES, model=LogisticRegression(max_iter=500)),
        [KEYS[-1]],
    )
    assert again[KEYS[-1]].reused and again[KEYS[-1]].artifacts == record.artifacts


def test_samples_tell_most_and_hold_no_secret(data: Path, tmp_path: Path) -> None:
    world = World(tmp_path)
    record, kept = judged(
        data, world, features=[*FEATURES, "password", "client_secret"], model=LogisticRegression(max_iter=500)
    )
    samples, table = kept["samples"], world.table(record, "scored")
    scores = table.set_index([DAY, ROW])["score"]
    assert {k for k, v in samples.items() if len(v) == SAMPLES} >= {"right", "uncertain"}
    cut = kept["confusion"]["threshold"]
    for kind, rows in samples.items():
        for row in rows:
            assert (row["truth"] == row["predicted"]) == (kind == "right") or kind == "uncertain"
            assert row["predicted"] == str(int(row["score"] >= cut))
            assert (
                set(row["features"]) == {*FEATURES, "password", "client_secret"} and row["partition"] in KEYS
            )
            assert row["features"]["password"] == "(withheld)" == row["features"]["client_secret"]
            assert len(row["features"]["city"]) <= 210
            assert row["score"] == scores[row["partition"], row["row"]]
    sure = [abs(r["score"] - cut) for r in samples["uncertain"]]
    assert max(sure) <= min(abs(r["score"] - cut) for r in samples["right"])
    text = json.dumps(kept) + record.model_dump_json()
    assert SECRET not in text and TOKEN not in text


def test_several_classes_and_regressions_have_their_own(data: Path, tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=900)
    record, kept = judged(data, World(tmp_path / "a"), label=ml.Label("grade"), model=model)
    assert kept["confusion"]["classes"] == ["high", "low", "middle"] == list(kept["roc"])
    assert set(kept["samples"]["right"][0]["scores"]) == {"high", "low", "middle"}
    record, kept = judged(data, World(tmp_path / "b"), label=ml.Label("score"), model=Ridge())
    assert set(kept) == {"residuals", "samples", "configuration"} | PROBED
    assert set(kept["samples"]) == {"right", "wrong"}
    assert set(record.plots) == {"residuals"}


def test_the_configuration_is_whole_and_holds_no_secret(tmp_path: Path) -> None:
    url = f"postgresql+psycopg2://ann:{SECRET}@db.example.com/shop?password={SECRET}"
    source = ml.SQL(url, "orders", event_time="at", keys=["user"])
    spec = spec_of(tmp_path, source=source, model=LogisticRegression(C=3), store=str(tmp_path / "here"))
    found = configuration(spec)
    text = json.dumps(found)
    assert SECRET not in text and str(tmp_path) not in text
    assert found["sources"]["rows"]["url"] == "postgresql+psycopg2://db.example.com/shop?password=(withheld)"
    assert (found["model"]["resolved"]["C"], found["model"]["resolved"]["max_iter"]) == (3, 100)
    assert found["bootstrap"] == 100 and found["monitor"]["window"] == 3 and found["min_tenure"] == "7d"
    world = World(tmp_path / "store")
    assert configured(world.store, spec) == configured(world.store, spec)
    assert world.store.get_json(configured(world.store, spec).id) == found


def test_what_was_asked_for_is_told_though_the_result_is_reused(data: Path, tmp_path: Path) -> None:
    world, model = World(tmp_path), {"features": ["hours", "plays"], "model": LogisticRegression()}
    first, _ = judged(data, world, **model)
    second, kept = judged(data, world, **model, min_tenure="9d")
    assert second.reused and kept["configuration"]["min_tenure"] == "9d"
    assert [a.name for a in first.artifacts] == [a.name for a in second.artifacts]
