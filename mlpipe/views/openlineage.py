"""Records as OpenLineage run events, for catalogues such as Marquez and DataHub: what was read, what was made, by which job.

One record gives two events, START and COMPLETE, of a run whose id follows from the record's: an event that is sent twice is the same event.
See https://openlineage.io/docs/spec/object-model.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from mlpipe.errors import MlpipeError
from mlpipe.records.record import Input, Output, Record

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent
    from openlineage.client.facet_v2 import DatasetFacet, RunFacet

PRODUCER = "https://pypi.org/project/mlpipe"
_RUNS = UUID("3f0e2c56-6d5e-4f0c-9b1e-0f7d5a1c8e21")
"""Namespace of the run ids that are made here."""


def events_of(record: Record, store: str, namespace: str = "mlpipe") -> "list[RunEvent]":
    """The START and the COMPLETE event of a record.

    Parameters
    ----------
    record
        Of any stage; a model that was refused is a run that completed, with its verdict in the facet ``mlpipe_record``.
    store
        URL of the store: the namespace of data sets. User and password in it are left out.
    namespace
        Of jobs.

    Raises
    ------
    MlpipeError
        When the OpenLineage client is not installed.
    """
    try:
        from openlineage.client.event_v2 import Run, RunEvent, RunState
    except ImportError:
        raise MlpipeError(
            "the OpenLineage client is not installed", fix="Install it: pip install 'mlpipe[openlineage]'"
        ) from None
    run = Run(runId=str(uuid5(_RUNS, record.id)), facets=_run_facets(record, namespace))
    job, place = _job(record, namespace), _without_secrets(store)
    inputs = _inputs(record, place)
    common: dict[str, Any] = {"run": run, "job": job, "producer": PRODUCER, "inputs": inputs}
    started = record.recorded_at - timedelta(seconds=record.cost.wall_s)
    return [
        RunEvent(eventType=RunState.START, eventTime=started.isoformat(), outputs=[], **common),
        RunEvent(
            eventType=RunState.COMPLETE,
            eventTime=record.recorded_at.isoformat(),
            outputs=_outputs(record, place),
            **common,
        ),
    ]


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


def _job(record: Record, namespace: str) -> "Job":
    from openlineage.client.event_v2 import Job
    from openlineage.client.facet_v2 import job_type_job, ownership_job

    facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="MLPIPE", jobType=record.stage.upper(), producer=PRODUCER
        )
    }
    if record.owners:
        owners = [ownership_job.Owner(name=o) for o in record.owners]
        facets["ownership"] = ownership_job.OwnershipJobFacet(owners=owners, producer=PRODUCER)
    return Job(namespace=namespace, name=record.asset.replace("/", "."), facets=facets)


def _run_facets(record: Record, namespace: str) -> "dict[str, RunFacet]":
    from openlineage.client.facet_v2 import parent_run, processing_engine_run, tags_run

    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=record.environment.packages.get("dagster", "unknown"), name="Dagster", producer=PRODUCER
        ),
        "mlpipe_record": _facet("Record", _facts(record)),
    }
    if record.metrics:
        facets["mlpipe_metrics"] = _facet("Metrics", {"metrics": [_metric(m) for m in record.metrics]})
    if record.params:
        facets["mlpipe_params"] = _facet("Params", {"params": record.params})
    if record.tags:
        fields = [tags_run.TagsRunFacetFields(key=k, value=v, source="USER") for k, v in record.tags.items()]
        facets["tags"] = tags_run.TagsRunFacet(tags=fields, producer=PRODUCER)
    if _is_uuid(record.run):
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=record.run),
            job=parent_run.Job(namespace=namespace, name=record.pipeline),
            producer=PRODUCER,
        )
    return facets


def _facts(record: Record) -> dict[str, Any]:
    """What a record says beyond what OpenLineage has a place for."""
    code = record.code
    facts: dict[str, Any] = {
        "id": record.id,
        "partition": record.partition,
        "deployment": record.deployment,
        "verdict": record.verdict,
        "headline": record.headline,
        "recipe": record.recipe,
        "reused": record.reused,
        "asOf": record.as_of.isoformat(),
        "trigger": record.trigger.kind,
        "reason": record.trigger.reason,
        "actor": record.actor,
        "experiment": record.experiment,
        "codeArchive": code.archive,
        "commit": code.commit,
        "environment": record.environment.id,
        "seeds": dict(record.seeds),
        "wallSeconds": record.cost.wall_s,
        "peakMiB": record.cost.peak_mib,
        "findings": [f.what for f in record.findings],
    }
    return {k: v for k, v in facts.items() if v not in ("", [], {})}


def _metric(metric: Any) -> dict[str, Any]:
    told = {n: getattr(metric, n) for n in ("name", "value", "split", "better", "low", "high")}
    # JSON knows no infinity, and a receiver may refuse the whole event for one.
    return {k: v if not isinstance(v, float) or abs(v) < float("inf") else str(v) for k, v in told.items()}


def _facet(name: str, body: Mapping[str, Any]) -> "RunFacet":
    """A run facet of our own: its fields are those of the body."""
    import attr
    from openlineage.client.facet_v2 import RunFacet

    made = attr.make_class(f"Mlpipe{name}RunFacet", list(body), bases=(RunFacet,), kw_only=True)
    return made(producer=PRODUCER, **body)  # type: ignore[no-any-return]  # a class that is made at run time


def _inputs(record: Record, place: str) -> "list[InputDataset]":
    from openlineage.client.event_v2 import InputDataset

    sources = record.params.get("sources") if record.stage == "ingest" else None
    declared = sources if isinstance(sources, dict) else {}
    outside = [InputDataset(*_source(n, s)) for n, s in declared.items()]
    # A window of a hundred days is one data set, read in a hundred versions: the newest stands for it, and the record names them all.
    newest: dict[str, Input] = {}
    for given in record.inputs:
        name = _name(given.asset, given.name)
        if name not in newest or given.partition > newest[name].partition:
            newest[name] = given
    made = [InputDataset(namespace=place, name=n, facets=_version(i)) for n, i in newest.items()]
    return [*outside, *made]


def _source(name: str, declared: Any) -> tuple[str, str]:
    """Namespace and name of where rows come from: a database without its secrets, a path, an asset, or the name of the source."""
    told = declared if isinstance(declared, dict) else {}
    url, path, asset = (told.get(k) for k in ("url", "path", "asset"))
    if isinstance(url, str) and "://" in url:
        return _without_secrets(url), str(told.get("table") or name)
    if isinstance(path, str):
        return "file", path
    return ("dagster", asset) if isinstance(asset, str) else ("source", name)


def _outputs(record: Record, place: str) -> "list[OutputDataset]":
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    made = []
    for output in record.outputs:
        name = _name(record.asset, output.name)
        counted = statistics.OutputStatisticsOutputDatasetFacet(
            rowCount=output.rows, size=output.bytes, producer=PRODUCER
        )
        facets = {**_version(output), **_described(record, output, place)}
        made.append(
            OutputDataset(
                namespace=place, name=name, facets=facets, outputFacets={"outputStatistics": counted}
            )
        )
    return made


def _described(record: Record, output: Output, place: str) -> "dict[str, DatasetFacet]":
    """Schema, quality and origin of columns, as far as the record tells them."""
    from openlineage.client.facet_v2 import schema_dataset

    facets: dict[str, Any] = {}
    columns = _columns(record, output)
    if columns:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=n, type=t, ordinal_position=i)
            for i, (n, t) in enumerate(columns.items(), start=1)
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)
    assertions = list(_assertions(record, output))
    if assertions:
        from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

        facets["dataQualityAssertions"] = quality.DataQualityAssertionsDatasetFacet(
            assertions=assertions, producer=PRODUCER
        )
    if record.stage == "feature" and columns:
        facets |= _origins(record, columns, place)
    return facets


def _columns(record: Record, output: Output) -> dict[str, str]:
    if record.stage == "ingest":
        head = record.data.get("head") or {}
        told = (head.get("schema") or {}).get(output.name)
    else:
        told = record.data.get("features") if output.name == "features" else None
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else {}


def _assertions(record: Record, output: Output) -> Iterator[Any]:
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    source, _, what = output.name.rpartition("/")
    rules = record.data.get("rules") if record.stage == "validate" and what == "kept" else None
    for rule in rules.get(source, ()) if isinstance(rules, dict) else ():
        columns = rule.get("columns") or []
        yield quality.Assertion(
            assertion=rule["name"],
            success=bool(rule["success"]),
            column=columns[0] if len(columns) == 1 else None,
        )


def _origins(record: Record, columns: Mapping[str, str], place: str) -> dict[str, Any]:
    """Features that are columns of the primary source. What a function makes has no known origin, and none is told."""
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    declared = record.params.get("features") or {}
    primary = record.params.get("primary")
    if not primary or not isinstance(declared, dict) or "function" in declared:
        return {}
    raw = _name(f"{record.pipeline}/raw", str(primary))
    fields = {
        name: lineage.Fields(
            inputFields=[
                lineage.InputField(
                    namespace=place,
                    name=raw,
                    field=name,
                    transformations=[lineage.Transformation(type="DIRECT", subtype="IDENTITY")],
                )
            ]
        )
        for name in declared.get("columns") or ()
        if name in columns
    }
    return (
        {"columnLineage": lineage.ColumnLineageDatasetFacet(fields=fields, producer=PRODUCER)}
        if fields
        else {}
    )


def _version(made: Input | Output) -> "dict[str, DatasetFacet]":
    from openlineage.client.facet_v2 import dataset_version_dataset

    facet = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=made.id, producer=PRODUCER)
    return {"version": facet} if made.id else {}


def _name(asset: str, name: str) -> str:
    return f"{asset}/{name}" if name else asset


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
