"""The Python door: `Pipeline`, checked when it is made, and its Dagster definitions."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.spec.build import build
from mlpipe.spec.drafts import caller
from mlpipe.spec.pipeline import PipelineSpec

if TYPE_CHECKING:
    import dagster as dg

DEPLOYMENT = "MLPIPE_DEPLOYMENT"
"""Environment variable that names the deployment: dev (default), stage or prod. Its overlay is applied."""


class Pipeline:
    """A machine-learning pipeline, declared.

    Parameters
    ----------
    **settings
        The keys of `mlpipe.spec.pipeline.PipelineSpec`: ``name``, ``partitions``, ``source`` or ``sources``, ``label``, ``features`` and
        ``model`` are needed; all others have defaults. ``overlays={"prod": {…}}`` replaces settings in a deployment.

    Raises
    ------
    SpecError
        With every mistake at once: file and line, key, what is wrong, and the valid values.

    Examples
    --------
    >>> import mlpipe as ml
    >>> from sklearn.linear_model import LogisticRegression
    >>> churn = ml.Pipeline(
    ...     name="churn",
    ...     partitions=ml.daily(start="2024-01-01"),
    ...     source=ml.Parquet("data/{partition}.parquet", event_time="snapshot_ts", keys=["user_id"]),
    ...     label=ml.Label("churned", available_after="30d"),
    ...     features=["days_since_listen", "hours_last_month"],
    ...     model=LogisticRegression(),
    ... )
    >>> churn.spec.primary
    'rows'
    """

    def __init__(self, **settings: Any) -> None:
        where = caller()
        base_dir = Path(where.rpartition(":")[0]).resolve().parent
        self.spec: PipelineSpec = build(
            settings,
            where=where,
            deployment=os.environ.get(DEPLOYMENT),
            base_dir=base_dir if base_dir.is_dir() else Path.cwd(),
        )

    def definitions(self) -> "dg.Definitions":
        """Assets, checks, jobs and schedule of this pipeline, as a Dagster code location (or a part of one)."""
        from mlpipe.orchestration.definitions import definitions_of

        return definitions_of(self.spec)
