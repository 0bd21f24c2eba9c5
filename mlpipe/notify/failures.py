"""Alerts from runs that failed."""

from dataclasses import dataclass
from datetime import datetime

from mlpipe.notify.alert import Alert, one_line, sentence
from mlpipe.spec.pipeline import PipelineSpec

REASON = 400
"""At most this much of an error's message is told; the run's page shows it all."""


@dataclass(frozen=True)
class FailedRun:
    """A run that failed: its job, the partition (or first and last), the step that broke and its error, if one did."""

    id: str
    job: str
    partition: str
    step: str
    error: str
    at: datetime
    trigger: str
    live: bool
    link: str = ""


def of_failure(spec: PipelineSpec, run: FailedRun) -> Alert:
    """The alert of a failed run."""
    about = f" for {run.partition}" if run.partition else ""
    step = f" in step {run.step}" if run.step else ""
    why = f": {one_line(run.error, REASON)}" if run.error else ""
    return Alert(
        id=f"failed:{run.id}",
        kind="failed",
        severity="error",
        pipeline=spec.name,
        deployment=spec.deployment,
        partition=run.partition,
        title=one_line(f"{run.job} failed{about}"),
        text=sentence(f"Run {run.id[:8]} of {run.job}{about} failed{step}{why}"),
        happened_at=run.at,
        run=run.id,
        link=run.link,
        live=run.live,
        fields={"job": run.job, "step": run.step, "trigger": run.trigger},
    )
