"""How the assets of a pipeline show in Dagster: keys, dependencies, kinds, texts, code versions."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from mlpipe.core.fingerprint import fingerprint
from mlpipe.errors import SpecError
from mlpipe.orchestration.partitions import partitions_of
from mlpipe.records.codec import digest
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import LoadSource, UpstreamSource
from mlpipe.stages import evaluate, feature, ingest, label, monitor, predict, release, train, validate
from mlpipe.stages.cleaning import clean_params, time_forms
from mlpipe.stages.judging.asked import functions_of, told_of
from mlpipe.stages.runner import Stage

Dress = Callable[[str, dg.AssetSpec], dg.AssetSpec]

PARENTS: dict[str, tuple[str, ...]] = {
    "raw": (),
    "validated": ("raw",),
    "features": ("validated",),
    "labels": ("validated",),
    "model": ("features", "labels"),
    "evaluation": ("model",),
    "release": ("evaluation",),
    "predictions": ("features",),
    "monitor": ("predictions", "labels"),
}
STAGES: dict[str, Stage] = {
    s.asset: s
    for s in (
        ingest.STAGE,
        validate.STAGE,
        feature.STAGE,
        label.STAGE,
        train.STAGE,
        evaluate.STAGE,
        release.STAGE,
        predict.STAGE,
        monitor.STAGE,
    )
}
KINDS = {
    "raw": {"pandas", "parquet"},
    "validated": {"greatexpectations"},
    "features": {"pandas", "parquet"},
    "labels": {"pandas", "parquet"},
    "model": {"scikitlearn"},
    "evaluation": {"scikitlearn"},
    "release": {"python"},
    "predictions": {"scikitlearn", "parquet"},
    "monitor": {"numpy"},
}
TEXTS = {
    "raw": "Rows of each source, frozen under the name of their content.",
    "validated": "Which rows keep the contract, which are quarantined and why, a quality score, the partition's verdict.",
    "features": "Model-ready rows as known at the moment of prediction, and a mergeable profile of every column. Never a label.",
    "labels": "The truth about the partition's rows, as far as it is known; each revision is kept.",
    "model": "A model learned from the window that ends before the partition, as a bundle.",
    "evaluation": "Metrics with intervals, beside baselines and the champion, and what each gate says.",
    "release": "The decision about this model: version, stage, reason, model card.",
    "predictions": "The partition scored by the champion at the start of the run.",
    "monitor": "Drift against what the champion learned from, and realised performance once labels are ripe.",
}


def asset_spec(spec: PipelineSpec, name: str) -> dg.AssetSpec:
    """How one stage's asset shows in Dagster."""
    upstream = (
        [s.asset for s in spec.sources.values() if isinstance(s, UpstreamSource)] if name == "raw" else []
    )
    training = name in ("model", "evaluation", "release")
    return dg.AssetSpec(
        key=[spec.name, name],
        deps=[dg.AssetDep([spec.name, parent], partition_mapping=_identity(spec)) for parent in PARENTS[name]]
        if not upstream
        else [],
        description=f"{TEXTS[name]}\n\n{spec.description}".strip(),
        group_name=spec.name,
        kinds=KINDS[name],
        owners=list(spec.owners),
        tags={"mlpipe/stage": STAGES[name].name, **spec.tags},
        code_version=code_version(spec, name),
        partitions_def=partitions_of(spec.partitions),
        metadata={
            "pipeline": spec.name,
            "deployment": spec.deployment,
            **({"window": str(spec.training_window)} if training else {}),
        },
    )


def _identity(spec: PipelineSpec) -> dg.PartitionMapping | None:
    """Windows are read through the store: an arrow for each would drag a year of days into a backfill."""
    return None if spec.partitions.every == "none" else dg.IdentityPartitionMapping()


def code_version(spec: PipelineSpec, name: str) -> str:
    """Stage version and fingerprint of the user's functions and settings that decide the stage's result."""
    stage = STAGES[name]
    functions: dict[str, list[Any]] = {
        "raw": [s.function for s in spec.sources.values() if isinstance(s, LoadSource)],
        "validated": [s.contract.repair for s in spec.sources.values()],
        "features": [spec.features.function, spec.label.function],
        "labels": [spec.label.function],
        "model": [spec.model.fit, spec.baseline],
        "evaluation": [*functions_of(spec)],
        "monitor": [
            *spec.measures.functions,
            *(o.function for o in (*spec.levels.own.values(), *spec.monitor.business.values())),
        ],
    }
    settings: dict[str, Any] = {
        "validated": [s.contract.model_dump(mode="json", exclude={"repair"}) for s in spec.sources.values()],
        "features": spec.features.model_dump(mode="json", exclude={"function", "missing"}),
        "labels": spec.label.model_dump(mode="json", exclude={"function"}),
        "model": [
            spec.model.estimator,
            spec.model.params,
            spec.training_window,
            spec.threshold,
            spec.seed,
            spec.split.to_plain(),
        ],
        "evaluation": [spec.metrics, [g.to_plain() for g in spec.gates]],
    }
    # What is not declared leaves no trace, so that a release of mlpipe with a further key makes nothing stale.
    forms = {
        "raw": time_forms(spec),
        **dict.fromkeys(("validated", "features", "labels"), clean_params(spec)),
    }
    judged = {"evaluation": told_of(spec), "monitor": spec.measures.to_plain()}
    further: dict[str, Any] = {**forms, **judged, "model": spec.features.missing}
    decisive = {
        "functions": [fingerprint(f) for f in functions.get(name, []) if f is not None],
        "settings": settings.get(name),
        **({"cleaning": further[name]} if further.get(name) else {}),
    }
    return f"{stage.version}-{digest(decisive)[:12]}"


def dressed(spec: PipelineSpec, name: str, shown: dg.AssetSpec, dress: Dress | None) -> dg.AssetSpec:
    """The asset as a subclass wants it to show.

    Raises
    ------
    SpecError
        When it changes what the pipeline itself rests on: key, partitions or dependencies.
    """
    if dress is None:
        return shown
    made = dress(name, shown)
    for what in ("key", "partitions_def"):
        if getattr(made, what) != getattr(shown, what):
            raise SpecError(
                f"get_asset_spec changes the {what} of {spec.name}/{name}",
                where=spec.where,
                fix="It may change description, owners, tags, kinds, metadata, group and conditions.",
            )
    return made


def worn(shown: dg.AssetSpec) -> dict[str, Any]:
    """What a specification says, as the arguments of `dagster.asset`, which takes no specification itself."""
    return {
        "key": shown.key,
        "deps": shown.deps or None,
        "description": shown.description,
        "group_name": shown.group_name,
        "kinds": set(shown.kinds),
        "owners": list(shown.owners),
        "tags": {k: v for k, v in shown.tags.items() if not k.startswith("dagster/kind/")},
        "code_version": shown.code_version,
        "partitions_def": shown.partitions_def,
        "metadata": dict(shown.metadata),
        "automation_condition": shown.automation_condition,
        "freshness_policy": shown.freshness_policy,
    }
