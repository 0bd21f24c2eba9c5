"""One function turns a specification into Dagster definitions, whichever door it came through."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from mlpipe.orchestration.assets import STAGES, Execute, build_asset, frames_key
from mlpipe.orchestration.frames import FramesIOManager
from mlpipe.orchestration.jobs import jobs_of, schedules_of
from mlpipe.orchestration.production import production_spec
from mlpipe.spec.pipeline import PipelineSpec

logger = logging.getLogger("mlpipe")
SPEC = "mlpipe/spec"
PIPELINES: dict[str, PipelineSpec] = {}
"""Specifications that definitions were built from in this process, by name: how the CLI finds them after loading a code location."""


def definitions_of(
    spec: PipelineSpec,
    *,
    execute: Execute | None = None,
    dress: Callable[[str, dg.AssetSpec], dg.AssetSpec] | None = None,
) -> dg.Definitions:
    """Assets, checks, jobs, schedule and IO manager of one pipeline.

    Parameters
    ----------
    spec
        A checked specification.
    execute, dress
        Override points of a subclass of the component; see `mlpipe.orchestration.assets.build_asset`.
    """
    PIPELINES[spec.name] = spec
    if spec.retrain is not None:
        logger.warning(
            "pipeline %s: its 'retrain' policy is read but not acted on yet; start %s_training by hand or by a schedule of your own",
            spec.name,
            spec.name,
        )
    with _beta_known():
        jobs = jobs_of(spec)
        return dg.Definitions(
            assets=[*[build_asset(spec, name, execute, dress) for name in STAGES], production_spec(spec)],
            jobs=jobs,
            schedules=schedules_of(spec, jobs),
            resources={frames_key(spec): FramesIOManager(spec)},
            executor=dg.in_process_executor,
        )


@contextmanager
def _beta_known() -> Iterator[None]:
    """Partitioned checks and backfill policies are beta in Dagster 1.13; mlpipe uses them with care, its users need no warning each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield
