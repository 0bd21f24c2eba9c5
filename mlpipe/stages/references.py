"""What live partitions are compared with: the profile of those that a version learned from, and thresholds of its quiet times."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlpipe.core.abreast import Abreast, Basis, abreast, basis
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
    """Profile of a version's training partitions; the PSI above which a column raises an alarm; columns that never do, and why."""

    profile: Profile
    thresholds: dict[str, float]
    excluded: dict[str, str]


class Profiles:
    """Profiles on one grid, each read once: a trailing window shares all but one partition with that of the day before."""

    def __init__(self, spec: PipelineSpec, ctx: Context, grid_id: str, grid: Grid) -> None:
        self._spec, self._ctx = spec, ctx
        self.grid_id, self.grid = grid_id, grid
        self._profiles: dict[str, Profile] = {}
        self._references: dict[str, Reference] = {}
        self._bases: dict[tuple[str, tuple[str, ...]], Basis] = {}
        self._abreast: dict[tuple[str, tuple[str, ...]], Abreast] = {}

    def of(self, features_id: str, names: Sequence[str]) -> Profile:
        """Profile of a features table."""
        if features_id not in self._profiles:
            self._profiles[features_id] = profile_of(self._ctx, features_id, names, self.grid_id, self.grid)
        return self._profiles[features_id]

    def basis(self, champion: Champion, columns: tuple[str, ...]) -> Basis:
        """Reference of a version on some columns of the grid, ready to be compared with."""
        name = (champion.version.bundle, columns)
        if name not in self._bases:
            self._bases[name] = basis(self.grid, self.reference(champion).profile, columns)
        return self._bases[name]

    def abreast(self, base: Basis, features_id: str, names: Sequence[str]) -> Abreast:
        """Profile of a features table on the columns of a basis, side by side."""
        name = (features_id, base.columns)
        if name not in self._abreast:
            self._abreast[name] = abreast(base, self.of(features_id, names))
        return self._abreast[name]

    def reference(self, champion: Champion) -> Reference:
        """Reference of a version, by the provenance of its model."""
        bundle = champion.version.bundle
        if bundle not in self._references:
            self._references[bundle] = self._reference(champion)
        return self._references[bundle]

    def _reference(self, champion: Champion) -> Reference:
        """Made once for a bundle, grid and window; found again by its recipe."""
        store, monitor = self._ctx.store, self._spec.monitor
        tables = [i.id for i in champion.model.inputs if i.name == "features"]
        settings = {"calendar": self._spec.features.calendar, "window": monitor.window}
        recipe = "recipe-" + digest({"reference": tables, "grid": self.grid_id, **settings})
        done = store.recall(recipe)
        if done is None or not store.exists(str(done["profile"])):
            days = [self.of(table, champion.bundle.feature_names) for table in tables]
            whole = merge(days)
            thresholds = calibrate(self.grid, whole, days, monitor.window)
            calendar = dict.fromkeys(self._spec.features.calendar, "only tells the date")
            excluded = {**default_excluded(self.grid, whole), **calendar}
            put = store.put_bytes(to_bytes(whole), "profile", ".bin")
            done = {"profile": put.id, "thresholds": thresholds, "excluded": excluded}
            store.note(recipe, done)
        profile = from_bytes(store.get_bytes(str(done["profile"])))
        return Reference(profile, dict(done["thresholds"]), dict(done["excluded"]))
