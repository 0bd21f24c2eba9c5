"""A bundle as a model that MLflow loads: its folder with an ``MLmodel``, and the loader that MLflow asks for in it.

The model stays a bundle, which is no pickle; so whoever loads it has mlpipe installed (``requirements.txt`` in the folder says so). See
https://mlflow.org/docs/latest/ml/model/ for the format.
"""

import json
import os
import platform
import shutil
import tempfile
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.errors import DataError, MlpipeError, NotFoundError
from mlpipe.records.capture import mlpipe_version
from mlpipe.records.record import Record
from mlpipe.stores.scoring import Bundle
from mlpipe.stores.store import Store

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

FILE = "bundle.zip"
NEEDED = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")


class Predictor:
    """What MLflow calls: a bundle behind ``predict``."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(
        self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None
    ) -> "npt.NDArray[Any]":
        """Scores of rows; see `mlpipe.stores.scoring.Bundle.predict`. There are no parameters.

        Raises
        ------
        DataError
            Parameters were given, or rows do not fit.
        """
        if params:
            raise DataError(f"the model takes no parameters, and was given {', '.join(map(repr, params))}")
        return self.bundle.predict(model_input)


def _load_pyfunc(path: str) -> Predictor:
    """MLflow's entry: the model in a file or folder of ours."""
    from mlpipe.stores.bundles import loads

    file = Path(path)
    return Predictor(loads((file / FILE if file.is_dir() else file).read_bytes()))


def write(store: Store, record: Record, folder: Path, name: str) -> str:
    """Write the model that a training made as a folder that ``mlflow.pyfunc.load_model`` takes; the bundle's id.

    Parameters
    ----------
    folder
        Does not exist yet. It is there whole or not at all.
    name
        How people call the model, for its description.

    Raises
    ------
    NotFoundError
        The record made no bundle.
    MlpipeError
        The folder exists, or cannot be written.
    """
    bundle = next((o.id for o in record.outputs if o.name == "bundle"), None)
    if bundle is None:
        raise NotFoundError(
            f"{record.id} ({record.asset}, partition {record.partition}) made no model",
            where=f"store {store.url}",
            fix="Name a training, or a model as NAME@VERSION.",
        )
    if folder.exists() or folder.is_symlink():
        raise MlpipeError("the folder exists", where=str(folder), fix="Name another, or remove it.")
    data = store.get_bytes(bundle)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise MlpipeError(f"cannot be written: {error.strerror}", where=str(folder)) from None
    try:
        (draft / FILE).write_bytes(data)
        (draft / "requirements.txt").write_text(_requirements(record))
        (draft / "MLmodel").write_text(json.dumps(_described(record, data, bundle, name), indent=2))
        draft.chmod(0o755)
        os.rename(draft, folder)
    except OSError as error:
        raise MlpipeError(f"cannot be written: {error.strerror}", where=str(folder)) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return bundle


def _requirements(record: Record) -> str:
    made_with = record.environment.packages
    return "".join(
        [
            f"mlpipe=={mlpipe_version()}\n",
            *(f"{n}=={made_with[n]}\n" for n in NEEDED if n in made_with),
        ]
    )


def _described(record: Record, data: bytes, bundle: str, name: str) -> dict[str, Any]:
    """The MLmodel, as JSON, which is YAML."""
    from mlpipe.stores.bundles import features_of

    columns = [
        # Whole numbers may come with nulls, as floats: the model takes them, and MLflow would not.
        {"name": n, "type": _type(kind), "required": False}
        for n, kind in features_of(data)
    ]
    return {
        "flavors": {
            "python_function": {
                "loader_module": "mlpipe.stores.mlflow_model",
                "data": FILE,
                "python_version": record.environment.python or platform.python_version(),
            }
        },
        "signature": {"inputs": json.dumps(columns), "outputs": None, "params": None},
        "utc_time_created": record.recorded_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "metadata": {
            "name": name,
            "pipeline": record.pipeline,
            "partition": record.partition,
            "record": record.id,
            "bundle": bundle,
            "code": record.code.archive,
        },
    }


def _type(kind: str) -> str:
    """What MLflow is to insist on; the bundle casts numbers itself, and says which column does not fit."""
    return "any" if kind.lower().startswith(("int", "uint", "float", "bool")) else "string"
