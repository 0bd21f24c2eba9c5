"""The profile grid of a pipeline: made once from its first partitions by calendar, pinned, and shared by all profiles."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from mlpipe.core.fingerprint import fingerprint
from mlpipe.core.grid import Grid, build
from mlpipe.core.profile import Profile, profile
from mlpipe.core.profile_codec import from_bytes, to_bytes
from mlpipe.errors import MlpipeError
from mlpipe.records.codec import digest
from mlpipe.records.record import Output
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.cleaning import clean_params
from mlpipe.stages.context import Context
from mlpipe.stages.failures import IN_A_ROW, attempted, weight
from mlpipe.stages.featurise import featurise, past_keys
from mlpipe.stages.frames import Validated, stacked, usable
from mlpipe.stages.held import Held
from mlpipe.stages.runner import output


def definition(spec: PipelineSpec) -> str:
    """Name of how the features are made: another definition gets another grid."""
    functions = [f for f in (spec.features.function, spec.label.function) if f is not None]
    return digest(
        {
            "features": spec.features.model_dump(mode="json", exclude={"function", "calendar", "missing"}),
            "functions": [fingerprint(f) for f in functions],
            **clean_params(spec),
        }
    )


def first_keys(spec: PipelineSpec) -> tuple[str, ...]:
    """The partitions that the grid is made from: the first ones by calendar, whatever is materialized first."""
    if spec.partitions.every == "none":
        return (WHOLE,)
    edges = spec.partitions.first
    keys: tuple[str, ...] = ()
    while len(keys) < spec.monitor.grid_window:
        edges = spec.partitions.window(keys[-1]).end if keys else edges
        more = spec.partitions.keys_between(
            edges,
            edges
            + (
                spec.partitions.window(spec.partitions.key(spec.partitions.first)).end - spec.partitions.first
            ),
        )
        if not more:
            break
        keys += more[:1]
    return keys


def grid_of(spec: PipelineSpec, ctx: Context, *, force: bool = False) -> tuple[str, Grid] | None:
    """The pipeline's grid and its id; None while its first partitions are not all validated.

    With `force` it is made from those of them that are there, or else from the earliest that are. Partitions whose features cannot be made
    are left out, as those are that failed validation; None when that holds for all of them.
    """
    name = f"grids/{spec.name}/{ctx.segment or '_'}/{definition(spec)}"
    pinned = ctx.store.pinned(name)
    if pinned is None:
        made = _make(spec, ctx, force)
        if made is None:
            return None
        put = ctx.store.put_bytes(made.to_bytes(), "grid", ".json")
        pinned = ctx.store.pin(name, {"grid": put.id, "version": 1})
    grid_id = str(pinned["grid"])
    return grid_id, Grid.from_bytes(ctx.store.get_bytes(grid_id))


def _make(spec: PipelineSpec, ctx: Context, force: bool) -> Grid | None:
    keys = first_keys(spec)
    heads = ctx.heads.find(f"{spec.name}/validated", keys)
    if len(heads) < len(keys) and not force:
        return None
    good = [k for k in keys if k in heads and usable(heads[k])]
    if not good and force:
        later = spec.partitions.complete_until(ctx.run.as_of)
        heads = ctx.heads.find(f"{spec.name}/validated", later)
        good = [k for k in later if k in heads and usable(heads[k])][: spec.monitor.grid_window]
    if not good:
        return None
    ctx.log(f"{spec.name}: making the profile grid from {len(good)} partitions from {good[0]}")
    data = Validated(spec, list(dict.fromkeys(k for key in good for k in (*past_keys(spec, key), key))), ctx)
    frames, failed = [], 0
    for key in good:
        made = attempted(partial(featurise, spec, key, data, ctx.run.as_of))
        if isinstance(made, MlpipeError):
            failed += weight(made)
            if failed >= IN_A_ROW:
                break
        else:
            frames.append(made)
    names = list(dict.fromkeys(n for _, ns in frames for n in ns))
    return build(stacked([f for f, _ in frames])[names]) if frames else None


def put_profile(
    ctx: Context, features_id: str, frame: pd.DataFrame, names: Sequence[str], grid_id: str, grid: Grid
) -> Output:
    """Profile of a features table on the grid, as an output; found again by the table's id."""
    made = output(
        "profile", ctx.store.put_bytes(to_bytes(profile(frame[list(names)], grid)), "profile", ".bin")
    )
    ctx.store.note(_recipe(features_id, grid_id), {"id": made.id})
    return made


def profile_of(ctx: Context, features_id: str, names: Sequence[str], grid_id: str, grid: Grid) -> Profile:
    """Profile of a features table on a grid; made now when the table is older than the grid. Not to be changed."""
    make = partial(_read, ctx, features_id, names, grid_id, grid)
    return _PROFILES.get((ctx.store.url, features_id, grid_id), make)


def _read(ctx: Context, features_id: str, names: Sequence[str], grid_id: str, grid: Grid) -> Profile:
    done = ctx.store.recall(_recipe(features_id, grid_id))
    if done is not None and ctx.store.exists(str(done["id"])):
        return from_bytes(ctx.store.get_bytes(str(done["id"])))
    made = put_profile(ctx, features_id, ctx.store.get_table(features_id), names, grid_id, grid)
    return from_bytes(ctx.store.get_bytes(made.id))


def _bytes_of(made: Profile) -> int:
    return sum(2_000 + c.counts.nbytes + c.sums.nbytes for c in made.columns.values())


_PROFILES: Held[Profile] = Held(64 * 2**20, _bytes_of)


def _recipe(features_id: str, grid_id: str) -> str:
    return "recipe-" + digest({"profile": features_id, "grid": grid_id})
