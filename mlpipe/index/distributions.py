"""How the features of two records are distributed: the profiles of their windows, and how far one has moved from the other."""

from collections.abc import Sequence

from mlpipe.core.drift import ColumnDrift, compare
from mlpipe.core.grid import Grid
from mlpipe.core.profile import Profile, merge, profile
from mlpipe.core.profile_codec import from_bytes
from mlpipe.errors import DataError
from mlpipe.index.origins import Origin
from mlpipe.stores.store import Store


def grid_of(store: Store, grid: str) -> Grid:
    """A grid, by its id."""
    return Grid.from_bytes(store.get_bytes(grid))


def profile_on(store: Store, origin: Origin, grid: str) -> Profile | None:
    """Profile on a grid of the features that a record read: merged from those in the store, else counted now; None without features."""
    ids = origin.profiles.get(grid)
    if ids and len(origin.profiles) == 1:
        return merge([from_bytes(store.get_bytes(i)) for i in ids])
    tables = feature_tables(origin)
    if not tables:
        return None
    made, names = grid_of(store, grid), list(origin.features)
    parts = []
    for table in tables:
        frame = store.get_table(table)
        parts.append(profile(frame[[n for n in names if n in frame]], made))
    return merge(parts)


def feature_tables(origin: Origin) -> list[str]:
    """Ids of the tables of features that were read, by partition."""
    found = {k: i for k, i in origin.objects.items() if k[2] == "features"}
    return [found[key] for key in sorted(found)]


def moved(store: Store, origins: Sequence[Origin]) -> dict[str, list[ColumnDrift | None]]:
    """How far each feature of some records lies from that of the first, by name; shape (origins,), the first None.

    Features that the first one's grid does not have are left out, and all where there is none, or one changed its kind.
    """
    grids = list(origins[0].profiles) if origins else []
    reference = profile_on(store, origins[0], grids[0]) if grids else None
    if reference is None:
        return {}
    grid = grid_of(store, grids[0])
    names = [n for n in grid.columns if n in reference.columns]
    found: dict[str, list[ColumnDrift | None]] = {n: [None] for n in names}
    for origin in origins[1:]:
        try:
            current = profile_on(store, origin, grids[0])
        except DataError:
            # A feature that changed its kind is told by its type; nothing can be counted on bins of another kind.
            current = None
        drifts = (
            {}
            if current is None
            else compare(grid, reference, current, [n for n in names if n in current.columns])
        )
        for name in names:
            found[name].append(drifts.get(name))
    return found
