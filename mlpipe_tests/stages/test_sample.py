"""Which partitions and rows a smoke test looks at."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlpipe as ml
from mlpipe.stages import ingest, label, validate
from mlpipe.stages.sample import FEW, MOST_PARTITIONS, cap, choose, spread, thin
from mlpipe.stages.splits import by_part
from mlpipe_tests.stages.pipelines import World, day, days, rows, spec_of, written

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def at(key: str) -> datetime:
    return datetime.fromisoformat(key).replace(tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "store")


# -- partitions -------------------------------------------------------------------------------------------------------


def test_the_newest_window_of_the_data_is_read_whole_when_it_is_short(tmp_path: Path, world: World) -> None:
    spec = spec_of(written(tmp_path, days(12)), window="8d", split=ml.Split(valid="1d", test="2d"))
    chosen = choose(spec, NOW, world.context(spec))
    # As `mlpipe run` does: the newest partition is trained for, from those before it.
    assert chosen.key == day(11) and chosen.window == chosen.data == chosen.read == days(8, 3)
    assert chosen.blocks == (days(8, 3),)


def test_the_newest_window_ends_where_labels_are_known_by_now(tmp_path: Path, world: World) -> None:
    label = ml.Label("churned", available_after="3d")
    spec = spec_of(
        written(tmp_path, days(12)), window="8d", split=ml.Split(valid="1d", test="1d"), label=label
    )
    # On the morning of day 12 the labels of day 8 have been known for a moment, those of day 9 are not yet.
    assert choose(spec, at(day(12)), world.context(spec)).window == days(8, 1)
    assert choose(spec, at(day(12)) - timedelta(hours=1), world.context(spec)).window == days(8)


def test_a_window_that_begins_before_the_data_is_told_apart_from_what_can_be_read(
    tmp_path: Path, world: World
) -> None:
    spec = spec_of(written(tmp_path, days(6, 10)), window="20d")
    chosen = choose(spec, NOW, world.context(spec))
    assert chosen.window == days(15) and chosen.data == chosen.read == days(5, 10)


def test_where_nobody_knows_which_days_hold_data_the_first_window_is_asked_too(
    tmp_path: Path, world: World
) -> None:
    def load(window: Any) -> pd.DataFrame:
        wanted = [k for k in window.keys if k <= day(9)]
        return pd.concat([rows(k, 5) for k in wanted]) if wanted else rows(day(0), 0)

    source = ml.Load(load, event_time="at", keys=["user"])
    spec = spec_of(tmp_path, source=source, window="6d", split=ml.Split(valid="1d", test="1d"))
    assert choose(spec, NOW, world.context(spec)).read == days(6)
    # What is never there is looked for in the newest window, and the check of the sources says that it is empty.
    empty = spec_of(
        tmp_path,
        source=source,
        window="6d",
        split=ml.Split(valid="1d", test="1d"),
        partitions=ml.daily(start="2025-01-01"),
    )
    assert choose(empty, NOW, world.context(empty)).window[-1] == "2029-12-30"


def hourly(tmp_path: Path, **settings: Any) -> Any:
    source = ml.Load(lambda window: rows(day(0), 1), event_time="at", keys=["user"])
    given: dict[str, Any] = {"window": "28d", "split": ml.Split(valid="6h", test="2d"), **settings}
    return spec_of(tmp_path, partitions=ml.hourly(start="2024-01-01"), source=source, **given)


def test_of_a_long_window_partitions_all_over_it_and_from_every_part_are_read(tmp_path: Path) -> None:
    spec = hourly(tmp_path)
    window = spec.partitions.before("2024-03-01-00:00", spec.training_window)
    read = spread(spec, window, window, 40)
    assert len(window) == 28 * 24 and 36 <= len(read) <= 44 and list(read) == sorted(set(read))
    assert read == spread(spec, window, window, 40)
    parts = by_part(spec, window)
    assert {p: len(k) for p, k in parts.items()} == {"train": 28 * 24 - 54, "valid": 6, "test": 48}
    inside = {p: len(set(k) & set(read)) for p, k in parts.items()}
    assert inside["train"] >= 30 and min(inside.values()) >= 2
    # No stretch of the training part is passed over: a tenth of it holds some.
    tenths = np.array_split(np.arange(len(parts["train"])), 10)
    assert all(any(parts["train"][i] in read for i in tenth) for tenth in tenths)


def test_where_features_look_back_neighbours_are_read_together(tmp_path: Path) -> None:
    features = {"function": lambda frames, history: frames["rows"][["hours"]], "look_back": "3h"}
    spec = hourly(tmp_path, features=features)
    window = spec.partitions.before("2024-03-01-00:00", spec.training_window)
    read = set(spread(spec, window, window, 40))
    alone = [k for k, after in zip(window, window[1:], strict=False) if k in read and after not in read]
    assert len(read) <= 44 and len(alone) <= len(read) / 3


def test_partitions_with_many_rows_are_fewer(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlpipe.stages.sample.MOST_ROWS", 60 * FEW)
    spec = spec_of(written(tmp_path, days(30)), window="24d")
    chosen = choose(spec, NOW, world.context(spec))
    assert FEW <= len(chosen.read) <= FEW + 2 < len(chosen.data)
    # Rows between them are not read either: each block has neighbours alone.
    for block in chosen.blocks:
        assert block == spec.partitions.keys(block[0], block[-1])
    monkeypatch.setattr("mlpipe.stages.sample.MOST_ROWS", 10**6)
    assert len(choose(spec, NOW, world.context(spec)).read) == 24 < MOST_PARTITIONS


def test_labels_of_a_source_of_their_own_are_read_up_to_their_horizon(tmp_path: Path, world: World) -> None:
    folder = written(tmp_path, days(12))
    spec = spec_of(
        folder,
        sources={
            "rows": ml.Parquet("{partition}.parquet", event_time="at", keys=["user"]),
            "truth": ml.Parquet("{partition}.parquet", event_time="at", keys=["user"]),
        },
        label=ml.Label("churned", source="truth", horizon="2d"),
        window="4d",
        split=ml.Split(valid="1d", test="1d"),
    )
    chosen = choose(spec, at(day(12)), world.context(spec))
    assert chosen.read == days(4, 6) and chosen.blocks == (days(6, 6),)


# -- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "rows", "most"),
    [
        ([10, 10, 1], 9, 4),  # 1 + 4 + 4
        ([10, 10, 10], 100, 10),
        ([5], 3, 3),
        ([1000, 2, 2], 10, 6),  # 2 + 2 + 6
        ([7, 7, 7], 1, 1),
        ([], 5, 1),
    ],
)
def test_heaps_are_levelled(sizes: list[int], rows: int, most: int) -> None:
    assert cap(np.array(sizes, dtype="int64"), rows) == most


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(1, 3000))
def test_no_more_than_asked_and_no_less_than_possible(sizes: list[int], rows: int) -> None:
    most = cap(np.array(sizes), rows)
    taken = sum(min(s, most) for s in sizes)
    assert taken <= max(rows, len(sizes))
    if most < max(sizes):
        assert sum(min(s, most + 1) for s in sizes) > rows


def prepared(spec: Any, world: World) -> Any:
    """Partitions whose rows, contracts and labels are known."""
    ctx = world.context(spec)
    chosen = choose(spec, NOW, ctx)
    for stage in (ingest.STAGE, validate.STAGE, label.STAGE):
        world.run(stage, spec, [k for b in chosen.blocks for k in b])
    return chosen


def left(spec: Any, world: World, key: str) -> pd.DataFrame:
    """Validated rows of a partition as the next stages see them."""
    from mlpipe.stages.frames import Validated

    return Validated(spec, [key], world.context(spec)).rows(spec.primary, key)


def test_rows_are_drawn_from_every_partition_by_the_seed_and_each_part_gets_its_share(
    tmp_path: Path, world: World
) -> None:
    spec = spec_of(written(tmp_path, days(11)), window="10d", split=ml.Split(valid="1d", test="1d"))
    chosen = prepared(spec, world)
    taken, total = thin(spec, chosen, 100, world.context(spec))
    counts = {k: len(left(spec, world, k)) for k in chosen.read}
    assert total == 600 and taken == sum(counts.values()) and 96 <= taken <= 125
    # 60 rows for eight days of training, 20 for each of the other two.
    assert all(7 <= counts[k] <= 12 for k in days(8)) and all(20 <= counts[k] <= 30 for k in days(2, 8))
    again = World(world.folder.parent / "again")
    chosen = prepared(spec, again)
    thin(spec, chosen, 100, again.context(spec))
    pd.testing.assert_frame_equal(left(spec, again, day(3)), left(spec, world, day(3)))
    other = World(world.folder.parent / "other")
    seeded = spec.model_copy(update={"seed": 1})
    thin(seeded, prepared(seeded, other), 100, other.context(seeded))
    assert not left(spec, other, day(3)).equals(left(spec, world, day(3)))


def test_few_rows_stay_as_they_are(tmp_path: Path, world: World) -> None:
    spec = spec_of(written(tmp_path, days(11)), window="10d", split=ml.Split(valid="3d", test="3d"))
    assert thin(spec, prepared(spec, world), 6000, world.context(spec)) == (600, 600)


def test_rare_classes_and_labelled_rows_are_preferred(tmp_path: Path, world: World) -> None:
    frame = pd.concat([rows(day(0), 2000)]).assign(churned=[1.0] * 20 + [0.0] * 980 + [None] * 1000)
    frame.sample(frac=1.0, random_state=3).to_csv(tmp_path / "rows.csv", index=False)
    source = ml.CSV("rows.csv", keys=["user"])
    spec = spec_of(tmp_path, source=source, partitions=ml.unpartitioned(), split=ml.Split(), window=None)
    chosen = prepared(spec, world)
    assert thin(spec, chosen, 100, world.context(spec))[1] == 2000
    seen = left(spec, world, "all")["churned"].value_counts(dropna=False)
    # A quarter of the rows is shared among the two classes, over and above what chance gives.
    assert seen[1.0] >= 12 and seen.get(np.nan, 0) == 0 and 100 <= seen.sum() <= 125
