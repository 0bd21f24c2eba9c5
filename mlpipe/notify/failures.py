"""Alerts from runs that failed, and from those that make up for them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlpipe.notify.alert import Alert, one_line, runbook, sentence
from mlpipe.spec.pipeline import PipelineSpec

REASON = 400
"""At most this much of an error's message is told; the run's page shows it all."""


@dataclass(frozen=True)
class EndedRun:
    """A run that failed or succeeded: its job, the partition (or first and last), the step that broke and its error, if one did."""

    id: str
    job: str
    partition: str
    at: datetime
    trigger: str
    live: bool
    step: str = ""
    error: str = ""
    link: str = ""

    @property
    def key(self) -> str:
        """What runs of the same job for the same partition have in common."""
        return f"failed:{self.job}:{self.partition}"


def of_failure(spec: PipelineSpec, run: EndedRun) -> Alert:
    """The alert of a failed run."""
    about = f" for {run.partition}" if run.partition else ""
    step = f" in step {run.step}" if run.step else ""
    why = f": {one_line(run.error, REASON)}" if run.error else ""
    return _alert(
        spec,
        run,
        state="firing",
        severity="error",
        title=f"{run.job} failed{about}",
        text=f"Run {run.id[:8]} of {run.job}{about} failed{step}{why}",
        fields={"job": run.job, "step": run.step, "trigger": run.trigger},
    )


def of_success(spec: PipelineSpec, run: EndedRun) -> Alert:
    """The alert that resolves an earlier run's failure."""
    about = f" for {run.partition}" if run.partition else ""
    return _alert(
        spec,
        run,
        state="resolved",
        severity="info",
        title=f"{run.job} succeeded{about}",
        text=f"Run {run.id[:8]} of {run.job}{about} succeeded after one had failed",
    )


def _alert(spec: PipelineSpec, run: EndedRun, *, title: str, text: str, **given: Any) -> Alert:
    return Alert(
        id=f"failed:{run.id}",
        kind="failed",
        key=run.key,
        pipeline=spec.name,
        deployment=spec.deployment,
        partition=run.partition,
        title=one_line(title),
        text=sentence(text),
        happened_at=run.at,
        run=run.id,
        link=run.link,
        live=run.live,
        runbook=runbook("failed"),
        **given,
    )
