"""What live days are compared with: the profile of the partitions that a version learned from, and thresholds learned from its quiet days."""

from dataclasses import dataclass

from mlpipe.core.drift import calibrate, default_excluded
from mlpipe.core.grid import Grid
from mlpipe.core.profile import Profile, merge
from mlpipe.core.profile_codec import from_bytes, to_bytes
from mlpipe.records.codec import digest
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.grids import profile_of


@dataclass(frozen=True)
class Reference:
    """Profile of a version's training partitions, the PSI above which a column raises an alarm, and columns that never do, with the reason."""

    profile: Profile
    thresholds: dict[str, float]
    excluded: dict[str, str]


def reference_of(spec: PipelineSpec, champion: Champion, grid_id: str, grid: Grid, ctx: Context) -> Reference:
    """Reference of a version, by the provenance of its model. Made once for a bundle, grid and window."""
    tables = [i.id for i in champion.model.inputs if i.name == "features"]
    settings = {"calendar": spec.features.calendar, "window": spec.monitor.window}
    recipe = "recipe-" + digest({"reference": tables, "grid": grid_id, **settings})
    done = ctx.store.recall(recipe)
    if done is None or not ctx.store.exists(str(done["profile"])):
        names = champion.bundle.feature_names
        days = [profile_of(ctx, table, names, grid_id, grid) for table in tables]
        whole = merge(days)
        thresholds = calibrate(grid, whole, days, spec.monitor.window)
        excluded = {
            **default_excluded(grid, whole),
            **dict.fromkeys(spec.features.calendar, "only tells the date"),
        }
        put = ctx.store.put_bytes(to_bytes(whole), "profile", ".bin")
        done = ctx.store.remember(recipe, {"profile": put.id, "thresholds": thresholds, "excluded": excluded})
    return Reference(
        from_bytes(ctx.store.get_bytes(str(done["profile"]))),
        dict(done["thresholds"]),
        dict(done["excluded"]),
    )
