"""Runs of an MLflow store as records: what was tried before mlpipe came stays askable beside what is tried now.

Each run becomes one record of stage ``train``. Its models come as files, unopened: most are pickles, which run code when they are loaded.
Versions and aliases of registered models stand in the record's tags. A run that was imported is not imported again.
"""

import io
import math
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.errors import MlpipeError
from mlpipe.records.codec import from_bytes, sealed, to_bytes
from mlpipe.records.record import Code, Cost, MetricValue, Output, Record, Trigger
from mlpipe.stores.store import Put, Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000
ASSET = "imported"
LARGEST = 512 * 2**20
"""Bytes of a run's model that are brought in; a larger one is named in a finding and left where it is."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?)")
SPLITS = ("train", "training", "valid", "validation", "val", "test", "eval")
WORDS = {"True": True, "False": False, "None": None}


def imported(
    store: Store, url: str, pipeline: str, experiment: str | None = None
) -> Iterator[tuple[Record, bool]]:
    """Bring the runs of an MLflow store in, one by one; each record, and whether it is new.

    Parameters
    ----------
    url
        MLflow's tracking URI: a folder, ``sqlite:///mlflow.db``, ``http://host:5000``.
    pipeline
        Under which name the records are kept.
    experiment
        Name of the only experiment to bring in; default: all.

    Raises
    ------
    MlpipeError
        MLflow is not installed, does not answer, or has no such experiment.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise MlpipeError("MLflow is not installed", fix="Install it: pip install 'mlpipe[mlflow]'") from None
    known = {r.run: r for r in _before(store, pipeline)}
    try:
        client = MlflowClient(tracking_uri=url)
        named = _registered(client)
        for run in _runs(client, _experiments(client, url, experiment)):
            if run.info.run_id in known:
                yield known[run.info.run_id], False
                continue
            record = sealed(_record(store, client, run, pipeline, named.get(run.info.run_id, {})))
            store.add_record(pipeline, record.id, to_bytes(record))
            yield record, True
    except MlflowException as error:
        raise MlpipeError(
            f"MLflow: {str(error).splitlines()[0]}",
            where=url,
            fix="Runs that were brought in are kept; run it again.",
        ) from error


def _before(store: Store, pipeline: str) -> Iterator[Record]:
    for name, data in store.records(pipeline) if pipeline in store.pipelines() else ():
        record = from_bytes(data, name)
        if record.asset == f"{pipeline}/{ASSET}":
            yield record


def _experiments(client: "MlflowClient", url: str, name: str | None) -> dict[str, str]:
    """Names of experiments by their ids."""
    found = {e.experiment_id: str(e.name) for e in client.search_experiments()}
    if name is None:
        return found
    chosen = {i: n for i, n in found.items() if n == name}
    if not chosen:
        from mlpipe.errors import did_you_mean

        raise MlpipeError(
            f"there is no experiment {name!r}", where=url, fix=did_you_mean(name, sorted(found.values()))
        )
    return chosen


def _runs(client: "MlflowClient", experiments: Mapping[str, str]) -> "Iterator[Run]":
    token: str | None = None
    while experiments:
        page = client.search_runs(
            list(experiments), max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        for run in page:
            run.data.tags.setdefault("mlpipe.experiment", experiments[run.info.experiment_id])
            yield run
        token = page.token
        if not token:
            return


def _registered(client: "MlflowClient") -> dict[str, dict[str, str]]:
    """Tags that say as what a run's model was registered, by run."""
    named: dict[str, dict[str, str]] = {}
    for model in client.search_registered_models():
        aliases = {str(v): a for a, v in (model.aliases or {}).items()}
        for version in client.search_model_versions(f"name = '{model.name}'"):
            tags = named.setdefault(version.run_id or "", {})
            tags["mlflow.model"] = f"{model.name}@{version.version}"
            if str(version.version) in aliases:
                tags["mlflow.alias"] = aliases[str(version.version)]
    return named


def _record(
    store: Store, client: "MlflowClient", run: "Run", pipeline: str, named: Mapping[str, str]
) -> Record:
    tags = dict(run.data.tags)
    started = _moment(run.info.start_time)
    ended = _moment(run.info.end_time) if run.info.end_time else started
    models, findings = _models(store, client, run)
    return Record(
        pipeline=pipeline,
        deployment="mlflow",
        stage="train",
        asset=f"{pipeline}/{ASSET}",
        partition="all",
        run=run.info.run_id,
        as_of=ended,
        recorded_at=started,
        trigger=Trigger(kind="import", reason="brought in from MLflow"),
        actor=tags.get("mlflow.user", ""),
        params=_nested({k: _typed(v) for k, v in run.data.params.items()}),
        metrics=tuple(_metric(n, v) for n, v in sorted(run.data.metrics.items())),
        curves=tuple(_curves(store, client, run)),
        outputs=models,
        code=Code(commit=tags.get("mlflow.source.git.commit", "")),
        cost=Cost(wall_s=round((ended - started).total_seconds(), 3)),
        verdict={"FINISHED": "trained", "FAILED": "failed"}.get(run.info.status, run.info.status.lower()),
        data={"mlflow": {"status": run.info.status, "name": run.info.run_name or "", **findings}},
        headline=f"MLflow run {run.info.run_name or run.info.run_id}",
        experiment=tags["mlpipe.experiment"],
        tags={**{k: v for k, v in tags.items() if not k.startswith(("mlflow.", "mlpipe."))}, **named},
        notes=tags.get("mlflow.note.content", ""),
    )


def _moment(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)


def _typed(text: str) -> Any:
    """MLflow keeps parameters as text: numbers, True, False and None are told from words again."""
    if text in WORDS:
        return WORDS[text]
    if not NUMBER.fullmatch(text):
        return text
    try:
        return int(text)
    except ValueError:
        return float(text) if math.isfinite(float(text)) else text


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested ones, where no name is also the beginning of another."""
    nested: dict[str, Any] = {}
    for name, value in sorted(flat.items()):
        *parents, last = name.split(".")
        inside, clash = nested, not all([*parents, last])
        for parent in () if clash else parents:
            below = inside.setdefault(parent, {})
            if not isinstance(below, dict):
                clash = True
                break
            inside = below
        if clash:
            nested[name] = value
        else:
            inside[last] = value
    return nested


def _metric(name: str, value: float) -> MetricValue:
    """A metric; ``val_f1`` and ``val/f1`` name the split."""
    split, _, rest = name.replace("/", "_", 1).partition("_")
    return (
        MetricValue(name=rest, value=value, split=split)
        if rest and split in SPLITS
        else MetricValue(name=name, value=value)
    )


def _curves(store: Store, client: "MlflowClient", run: "Run") -> Iterator[Output]:
    for name in sorted(run.data.metrics):
        points = client.get_metric_history(run.info.run_id, name)
        if len(points) > 1:
            ordered = sorted(points, key=lambda p: (p.step, p.timestamp))
            curve = [[p.step, p.value if math.isfinite(p.value) else None] for p in ordered]
            yield _output(name, store.put_json(curve, "curve"))


def _models(store: Store, client: "MlflowClient", run: "Run") -> tuple[tuple[Output, ...], dict[str, Any]]:
    """The run's models as archives of their files, and what is worth saying of them."""
    told: dict[str, Any] = {}
    made: list[Output] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, place in _places(client, run):
            from mlflow.artifacts import download_artifacts

            local = Path(
                download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=client.tracking_uri)
            )
            files = sorted(p for p in local.rglob("*") if p.is_file() and not p.is_symlink())
            size = sum(p.stat().st_size for p in files)
            if size > LARGEST:
                told.setdefault("left", []).append(f"{name}: {size:,} bytes")
                continue
            made.append(_output(f"mlflow/{name}", store.put_bytes(_zipped(local, files), "foreign", ".zip")))
    return tuple(made), told


def _places(client: "MlflowClient", run: "Run") -> Iterator[tuple[str, str]]:
    """Name and address of each model of a run: since MLflow 3 a thing of its own, before that a folder among its artifacts."""
    outputs = getattr(run, "outputs", None)
    found = False
    for output in (outputs.model_outputs if outputs is not None else None) or ():
        model = client.get_logged_model(output.model_id)
        found = True
        yield model.name or output.model_id, model.artifact_location
    for artifact in () if found else client.list_artifacts(run.info.run_id):
        if artifact.is_dir and any(
            Path(f.path).name == "MLmodel" for f in client.list_artifacts(run.info.run_id, artifact.path)
        ):
            yield artifact.path, f"runs:/{run.info.run_id}/{artifact.path}"


def _zipped(folder: Path, files: list[Path]) -> bytes:
    """An archive that is the same for the same files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
    return held.getvalue()


def _output(name: str, put: Put) -> Output:
    return Output(name=name, id=put.id, rows=put.rows, bytes=put.bytes, sha256=put.sha256)
