"""Trials of several partitions, one run each, and the pipeline's own models to lay them beside."""

from collections.abc import Callable, Sequence
from uuid import uuid4

import dagster as dg

from mlpipe.errors import MlpipeError
from mlpipe.orchestration.events import EXPERIMENT_TAG, DagsterHeads
from mlpipe.orchestration.runs import Request, run
from mlpipe.orchestration.runtime import (
    HYPOTHESIS_TAG,
    LISTENERS,
    OWN_TAG,
    Progress,
    now,
    open_store,
    store_url,
)
from mlpipe.orchestration.trials import Asked, known_features, trials_of
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.same_day import Own

MARK = "mlpipe/tried"
"""Tag of a run of trials by which whoever started it finds it again."""


def tried(
    spec: PipelineSpec,
    defs: dg.Definitions,
    on: dg.DagsterInstance,
    keys: Sequence[str],
    asked: Asked,
    tell: Callable[[Progress], None],
) -> tuple[dict[str, list[Record]], list[MlpipeError]]:
    """Try variants for partitions, one after the other.

    Parameters
    ----------
    tell
        Hears of each variant that was tried.

    Returns
    -------
    dict, list
        Records by partition, in the order of the variants; and the errors of those that failed, which hold up no others.

    Raises
    ------
    MlpipeError
        When nothing came of any.
    """
    made: dict[str, list[Record]] = {}
    errors: list[MlpipeError] = []
    LISTENERS.append(tell)
    try:
        for key in keys:
            # Its own mark, for a run that fails has no other way to tell its name, and others may try something at the same time.
            mark = uuid4().hex
            tags = (*_tags(asked), (MARK, mark))
            request = Request("trial", key, key, trigger="experiment", reason=_reason(spec, asked), tags=tags)
            try:
                run(spec, defs, on, request, asked.config(spec))
            except MlpipeError as error:
                errors.append(error)
            for each in on.get_runs(dg.RunsFilter(tags={MARK: mark})):
                made[key] = trials_of(spec, on, open_store(store_url(spec)), each.run_id, key)
    finally:
        LISTENERS.remove(tell)
    if errors and not any(made.values()):
        raise errors[0]
    return made, errors


def _reason(spec: PipelineSpec, asked: Asked) -> str:
    return asked.note or asked.hypothesis or f"mlpipe try {spec.name}"


def _tags(asked: Asked) -> tuple[tuple[str, str], ...]:
    """Tags of the run, by which the UI's list of runs can be filtered."""
    named = {EXPERIMENT_TAG: asked.experiment, HYPOTHESIS_TAG: asked.hypothesis}
    own = {OWN_TAG + name: value for name, value in asked.tags.items()}
    return tuple((k, v) for k, v in {**named, **own}.items() if v)


def features_at(spec: PipelineSpec, on: dg.DagsterInstance, key: str) -> tuple[str, ...]:
    """Names of the features that a trial of a partition meets; empty where they are not known yet."""
    return known_features(spec, DagsterHeads(on, "", now().timestamp()), key)


def own_models(spec: PipelineSpec, on: dg.DagsterInstance, keys: Sequence[str]) -> dict[str, Own]:
    """The pipeline's own evaluated models, of those partitions that have one."""
    store = open_store(store_url(spec))
    heads = DagsterHeads(on, "", now().timestamp()).find(f"{spec.name}/evaluation", keys)
    found: dict[str, Own] = {}
    for key, head in heads.items():
        evaluation = from_bytes(store.get_record(spec.name, head.record), head.record)
        training = evaluation.data.get("model_record")
        if training:
            found[key] = Own(from_bytes(store.get_record(spec.name, training), training), evaluation)
    return found
