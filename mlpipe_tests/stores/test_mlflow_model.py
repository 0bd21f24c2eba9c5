"""What MLflow itself makes of a model that was written for it."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.records.record import Output, Record
from mlpipe.stores.mlflow_model import write
from mlpipe.stores.store import Store
from mlpipe_tests.stores.models import boosted, logistic, people

# MLflow warns of its own type hints when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore")

NOW = datetime(2024, 1, 2, tzinfo=UTC)


def trained(store: Store, bundle: object) -> Record:
    put = store.put_bundle(bundle)  # type: ignore[arg-type]
    made = Output(name="bundle", id=put.id, bytes=put.bytes, sha256=put.sha256)
    return Record(
        id="rec-1",
        pipeline="churn",
        stage="train",
        asset="churn/model",
        partition="2024-01-01",
        as_of=NOW,
        recorded_at=NOW,
        outputs=(made,),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.mark.parametrize("bundle", [boosted, logistic])
def test_mlflow_loads_it_and_predicts_the_same(store: Store, tmp_path: Path, bundle: object) -> None:
    import mlflow

    made = bundle()  # type: ignore[operator]
    name = write(store, trained(store, made), tmp_path / "model", "churn@1")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    rows, _ = people(50)
    assert np.array_equal(loaded.predict(rows), made.predict(rows))
    assert loaded.metadata.metadata["bundle"] == name and loaded.metadata.metadata["name"] == "churn@1"
    names = [c["name"] for c in loaded.metadata.signature.inputs.to_dict()]
    assert names == list(made.feature_names)


def test_whole_numbers_with_nulls_are_scored_as_by_the_bundle(store: Store, tmp_path: Path) -> None:
    import mlflow

    made = boosted()
    write(store, trained(store, made), tmp_path / "model", "churn@1")
    rows, _ = people(20)
    rows["visits"] = rows["visits"].astype("float64")
    rows.loc[3, "visits"] = np.nan
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert np.array_equal(loaded.predict(rows), made.predict(rows))


def test_it_is_whole_or_not_there(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = trained(store, logistic())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", full)
        with pytest.raises(MlpipeError, match="No space left"):
            write(store, record, tmp_path / "out/model", "churn@1")
    assert list((tmp_path / "out").iterdir()) == []
    write(store, record, tmp_path / "out/model", "churn@1")
    with pytest.raises(MlpipeError, match="the folder exists"):
        write(store, record, tmp_path / "out/model", "churn@1")


def test_a_record_without_a_model_is_named(store: Store, tmp_path: Path) -> None:
    record = trained(store, logistic()).model_copy(update={"outputs": ()})
    with pytest.raises(NotFoundError, match="made no model"):
        write(store, record, tmp_path / "model", "x")
    assert not (tmp_path / "model").exists()
