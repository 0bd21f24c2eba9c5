"""Runs of a real MLflow store, brought in."""

import os
from pathlib import Path
from typing import Any

import pytest

from mlpipe.errors import MlpipeError
from mlpipe.records.record import Record
from mlpipe.stores.mlflow_runs import _metric, _nested, _typed, imported
from mlpipe.stores.store import Store

# MLflow warns of its own type hints when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore")


class Bomb:
    """A model that must never be loaded: it makes a folder then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))


@pytest.fixture(scope="module")
def exploded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bomb") / "exploded"


@pytest.fixture(scope="module")
def url(exploded: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An MLflow store with two experiments, four runs, a model with two versions and an alias."""
    import pickle

    import mlflow

    folder = tmp_path_factory.mktemp("mlflow")
    url = f"sqlite:///{folder}/mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=url)
    first = client.create_experiment("churn", artifact_location=(folder / "files").as_uri())
    second = client.create_experiment("other", artifact_location=(folder / "more").as_uri())
    runs = []
    for n in range(3):
        run = client.create_run(
            first, run_name=f"try {n}", tags={"owner": "ana", "mlflow.user": "ana"}
        ).info.run_id
        for name, value in {
            "lr": "0.1" if n else "1e-3",
            "model.depth": "3",
            "bag": "True",
            "kind": "gbt",
        }.items():
            client.log_param(run, name, value)
        for step in range(4):
            client.log_metric(run, "val_f1", 0.5 + n / 10 + step / 100, step=step)
        client.log_metric(run, "rmse", float("inf") if n == 2 else 1.0)
        client.set_terminated(run, "FAILED" if n == 2 else "FINISHED")
        runs.append(run)
    client.set_terminated(client.create_run(second).info.run_id)
    model = folder / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")
    (model / "model.pkl").write_bytes(pickle.dumps(Bomb(exploded)))
    client.log_artifacts(runs[0], str(model), "model")
    client.create_registered_model("churn")
    for run in (runs[0], runs[1]):
        client.create_model_version("churn", source=f"runs:/{run}/model", run_id=run)
    client.set_registered_model_alias("churn", "champion", "2")
    yield url
    client._tracking_client.store.engine.dispose() if hasattr(
        client._tracking_client.store, "engine"
    ) else None


@pytest.fixture(scope="module")
def brought(url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Record]]:
    store = Store.open(tmp_path_factory.mktemp("store"))
    return store, [r for r, new in imported(store, url, "churn", "churn") if new]


def test_parameters_metrics_tags_and_names_are_those_of_the_run(brought: tuple[Store, list[Record]]) -> None:
    _, records = brought
    assert [r.data["mlflow"]["name"] for r in records] == ["try 0", "try 1", "try 2"]
    first = records[0]
    assert first.params == {"lr": 0.001, "model": {"depth": 3}, "bag": True, "kind": "gbt"}
    (found,) = [m for m in first.metrics if m.name == "f1"]
    assert (found.split, found.value) == ("val", pytest.approx(0.53))
    assert (first.actor, first.experiment, first.tags["owner"]) == ("ana", "churn", "ana")
    assert [r.verdict for r in records] == ["trained", "trained", "failed"]
    assert first.stage == "train" and first.trigger.kind == "import"


def test_versions_and_aliases_stand_in_tags(brought: tuple[Store, list[Record]]) -> None:
    told = [(r.tags.get("mlflow.model"), r.tags.get("mlflow.alias")) for r in brought[1]]
    assert told == [("churn@1", None), ("churn@2", "champion"), (None, None)]


def test_the_curve_is_whole(brought: tuple[Store, list[Record]]) -> None:
    store, records = brought
    (curve,) = records[1].curves
    assert curve.name == "val_f1"
    assert store.get_json(curve.id) == [[s, pytest.approx(0.6 + s / 100)] for s in range(4)]


def test_a_model_is_kept_as_files_and_never_loaded(
    brought: tuple[Store, list[Record]], exploded: Path
) -> None:
    import io
    import zipfile

    store, records = brought
    (model,) = records[0].outputs
    with zipfile.ZipFile(io.BytesIO(store.get_bytes(model.id))) as archive:
        assert sorted(archive.namelist()) == ["MLmodel", "model.pkl"]
    assert not exploded.exists()


def test_what_was_brought_in_is_not_brought_in_again(url: str, brought: tuple[Store, list[Record]]) -> None:
    store, records = brought
    again = list(imported(store, url, "churn"))
    assert [(r.run, new) for r, new in again if not new] == [(r.run, False) for r in records]
    (other,) = [r for r, new in again if new]
    assert other.experiment == "other" and len(store.record_ids("churn")) == 4


def test_an_unknown_experiment_is_named_with_those_that_are_meant(url: str, tmp_path: Path) -> None:
    with pytest.raises(MlpipeError, match="no experiment 'chrun'") as caught:
        list(imported(Store.open(tmp_path / "s"), url, "churn", "chrun"))
    assert "churn" in str(caught.value).split("chrun", 1)[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("True", True),
        ("None", None),
        ("", ""),
        ("1.2.3", "1.2.3"),
    ],
)
def test_text_becomes_what_it_was(text: str, value: object) -> None:
    found = _typed(text)
    assert found == value and type(found) is type(value)


def test_dotted_names_nest_where_they_can() -> None:
    assert _nested({"a": 1, "a.b": 2, "c.d.e": 3, "c.d.f": 4, "x.": 5, ".y": 6}) == {
        "a": 1,
        "a.b": 2,
        "c": {"d": {"e": 3, "f": 4}},
        "x.": 5,
        ".y": 6,
    }


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("val_f1", ("f1", "val")),
        ("test/rmse", ("rmse", "test")),
        ("log_loss", ("log_loss", "")),
        ("test_", ("test_", "")),
    ],
)
def test_a_metric_names_its_split(name: str, told: tuple[str, str]) -> None:
    found = _metric(name, 1.0)
    assert (found.name, found.split) == told
