"""The jobs of a pipeline."""

from math import ceil
from typing import Any

import dagster as dg

from mlpipe.orchestration.runtime import JOB_TAG, PIPELINE_TAG
from mlpipe.spec.pipeline import PipelineSpec

INGEST = ("raw", "validated", "features", "labels")
MONITOR = ("predictions", "monitor")
JOBS: dict[str, tuple[tuple[str, ...], str]] = {
    "ingest": (INGEST, "Rows to features and labels, for one partition or a range in one run."),
    "daily": (
        (*INGEST, *MONITOR),
        "One partition: rows to features and labels, then predictions and monitor.",
    ),
    "training": (("model", "evaluation", "release"), "Learn, judge and decide, for one partition."),
    "backtest": (("model", "evaluation"), "Learn and judge, for past partitions; never decides anything."),
    "trial": (("trial",), "Try variants of one partition's model, as run config says; decides nothing."),
}
RUN_LIMIT = "dagster/max_runtime"


def job_name(spec: PipelineSpec, job: str) -> str:
    """Name of a pipeline's job in Dagster."""
    return f"{spec.name}_{job}"


def jobs_of(spec: PipelineSpec) -> list[Any]:
    """The jobs, each over the assets that it materializes."""
    return [
        dg.define_asset_job(
            job_name(spec, name),
            selection=dg.AssetSelection.assets(*[[spec.name, a] for a in assets]),
            description=text,
            tags={PIPELINE_TAG: spec.name, JOB_TAG: name, **_limit(spec, len(assets))},
            executor_def=dg.in_process_executor,
        )
        for name, (assets, text) in JOBS.items()
    ]


def _limit(spec: PipelineSpec, assets: int) -> dict[str, str]:
    """The step limit holds inside a step; the run as a whole may take it once for every asset."""
    return {} if spec.timeout is None else {RUN_LIMIT: str(ceil(spec.timeout.total_seconds() * assets))}
