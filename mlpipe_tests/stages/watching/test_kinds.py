"""Columns of every kind that a model takes are watched as what they are: yes or no, free text, names that keep coming."""

from datetime import date

import numpy as np
import pandas as pd

from mlpipe.core.grid import Grid
from mlpipe_tests.stages.pipelines import DATA, LIVE, TRAINING, World, day, days, scheduled, spec_of, written


def told(frame: pd.DataFrame) -> pd.DataFrame:
    """A day with a consent that may be missing, a note that nobody else wrote, and who sent the user, often somebody new."""
    rng = np.random.default_rng(date.fromisoformat(str(frame["at"].iloc[0])[:10]).toordinal())
    consent = pd.array(rng.random(len(frame)) < 0.3, dtype="boolean")
    consent[:2] = None
    return frame.assign(
        consent=consent,
        note=[
            f"I, {u}, am {'very ' * n}glad"
            for u, n in zip(frame["user"], rng.integers(0, 6, len(frame)), strict=True)
        ],
        friend=np.where(rng.random(len(frame)) < 0.1, frame["user"].astype(str), "nobody"),
    )


def odd(frame: pd.DataFrame) -> pd.DataFrame:
    """A form lost its consent, cuts notes short, and spells nobody otherwise."""
    frame = told(frame)
    return frame.assign(
        consent=pd.array([None] * len(frame), dtype="boolean"),
        note=frame["note"].str[:4],
        friend="N/A",
    )


def test_each_kind_is_quiet_on_quiet_days_and_speaks_up_on_odd_ones(tmp_path):
    changes = {f"d{n}": told if n < 28 else odd for n in range(30)}
    spec = spec_of(
        written(tmp_path / "data", days(30), **changes),
        features=["hours", "plays", "consent", "note", "friend"],
        window="15d",
        monitor={"window": 3, "grid_window": 10},
    )
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(30))
    world.run_all(TRAINING, spec, [day(24)], **scheduled())
    records = world.run_all(LIVE, spec, days(6, first=24))["monitor"]
    for key in days(4, first=24):
        assert records[key].data["alarms"] == [], "a new note a row is what notes are like"
    assert set(records[day(28)].data["alarms"]) == {"consent", "note", "friend"}
    table = world.table(records[day(28)], "drift").set_index("feature")
    assert table.loc["consent", "null_rate_change"] > 0.3 and table.loc["note", "wasserstein"] > 5
    pins = [p.removeprefix("pins/").removesuffix(".json") for p, _ in world.store.backend.list("pins")]
    grid = Grid.from_bytes(world.store.get_bytes(world.store.pinned(pins[0])["grid"]))
    kinds = {n: (c.kind, c.open_ended) for n, c in grid.columns.items()}
    assert kinds["consent"] == ("boolean", False) and kinds["note"] == ("text", False)
    assert kinds["friend"] == ("categorical", True)
