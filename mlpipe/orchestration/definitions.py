"""One function turns a specification into Dagster definitions, whichever door it came through."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from mlpipe.orchestration.alerts import alert_sensors
from mlpipe.orchestration.assets import Execute, build_asset, frames_key
from mlpipe.orchestration.automation import schedules_of, sensors_of
from mlpipe.orchestration.faces import STAGES, Dress, dressed
from mlpipe.orchestration.frames import FramesIOManager
from mlpipe.orchestration.jobs import jobs_of
from mlpipe.orchestration.production import production_spec
from mlpipe.orchestration.trials import trial_asset
from mlpipe.spec.pipeline import PipelineSpec

PIPELINES: dict[str, PipelineSpec] = {}
"""Specifications that definitions were built from in this process, by name: how the CLI finds them after loading a code location."""


def definitions_of(
    spec: PipelineSpec,
    *,
    execute: Execute | None = None,
    dress: Dress | None = None,
) -> dg.Definitions:
    """Assets, checks, jobs, schedule, sensors and IO manager of one pipeline.

    Parameters
    ----------
    spec
        A checked specification.
    execute, dress
        Override points of a subclass of the component; see `mlpipe.orchestration.assets.build_asset`.
    """
    with _beta_known():
        jobs = jobs_of(spec)
        production = dressed(spec, "production", production_spec(spec), dress)
        made = dg.Definitions(
            assets=[
                *[build_asset(spec, name, execute, dress) for name in STAGES],
                trial_asset(spec, execute, dress),
                production,
            ],
            jobs=jobs,
            schedules=schedules_of(spec, jobs),
            sensors=[*sensors_of(spec, jobs), *alert_sensors(spec)],
            resources={frames_key(spec): FramesIOManager(spec)},
            executor=dg.in_process_executor,
        )
    PIPELINES[spec.name] = spec
    return made


@contextmanager
def _beta_known() -> Iterator[None]:
    """Partitioned checks and backfill policies are beta in Dagster 1.13; mlpipe uses them with care, its users need no warning each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield
