"""How far the labels of the window have moved from those that the champion learned from."""

from functools import lru_cache

import numpy as np
import pandas as pd

from mlpipe.core.drift import ColumnDrift, compare
from mlpipe.core.grid import Grid, build
from mlpipe.core.profile import Profile, merge, profile
from mlpipe.core.profile_codec import from_bytes, to_bytes
from mlpipe.records.codec import digest
from mlpipe.records.record import MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.frames import stacked
from mlpipe.stages.outcomes import RIPE
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch
from mlpipe.stores.store import Store

MEASURES = ("psi", "js", "ks", "kl", "hellinger", "wasserstein", "cramers_v")


def section(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> Section:
    """Drift of the ripe labels of the window, all measures; unknown while none is ripe."""
    found = label_drift(spec, watch, ctx)
    if found is None:
        return Section(head={"label_psi": None})
    return Section(
        metrics=tuple(
            MetricValue(name=f"label_{m}", value=getattr(found, m), better="lower", split="drift")
            for m in MEASURES
            if np.isfinite(getattr(found, m))  # classes have no order, so no distance along it
        ),
        head={"label_psi": found.psi if np.isfinite(found.psi) else None},
        sentence=f"label PSI {found.psi:.3f}" if np.isfinite(found.psi) else "",
    )


def label_drift(spec: PipelineSpec, watch: Watch, ctx: Context) -> ColumnDrift | None:
    """Labels of the window's ripe partitions against those of the version's training partitions, as they were when it learned.

    Classes are categories, and numbers stand on quantiles of the training labels. None where either side has no labels.
    """
    ripe = [h.outputs["labels"].id for h in watch.labels.values() if h.verdict == RIPE]
    name, numeric = spec.label.name, watch.champion.bundle.task == "regression"
    reference = _reference(watch.champion, name, numeric, ctx.store) if ripe else None
    if reference is None:
        return None
    grid_id, then = reference
    now = merge([_day(ctx.store, table, name, numeric, grid_id) for table in ripe])
    return compare(_grid(ctx.store, grid_id), then, now, [name])[name]


def _reference(champion: Champion, name: str, numeric: bool, store: Store) -> tuple[str, Profile] | None:
    """The grid and the profile of a version's training labels; made once, and found again by its recipe."""
    tables = [i.id for i in champion.model.inputs if i.name == "labels" and i.id]
    if not tables:
        return None
    recipe = "recipe-" + digest({"labels": tables, "name": name, "numeric": numeric})
    done = store.recall(recipe)
    if done is None or not store.exists(str(done["profile"])) or not store.exists(str(done["grid"])):
        frame = stacked([_read(store, table, name, numeric) for table in tables])
        grid = build(frame)
        done = {
            "grid": store.put_bytes(grid.to_bytes(), "grid", ".json").id,
            "profile": store.put_bytes(to_bytes(profile(frame, grid)), "profile", ".bin").id,
        }
        store.note(recipe, done)
    return str(done["grid"]), from_bytes(store.get_bytes(str(done["profile"])))


@lru_cache(maxsize=512)
def _day(store: Store, table: str, name: str, numeric: bool, grid_id: str) -> Profile:
    """Profile of a table of labels, which never changes: nights of one window count the same days."""
    return profile(_read(store, table, name, numeric), _grid(store, grid_id))


@lru_cache(maxsize=8)
def _grid(store: Store, grid_id: str) -> Grid:
    return Grid.from_bytes(store.get_bytes(grid_id))


def _read(store: Store, table: str, name: str, numeric: bool) -> pd.DataFrame:
    frame = store.get_table(table, columns=[name])
    if numeric:
        return frame
    values = frame[name]
    return pd.DataFrame({name: values.astype(object).where(values.isna(), values.astype(str))})
