"""Blocks are a copy of the rows: whatever is done to a row, a scan says what the row says."""

from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import pytest

from mlpipe.index import blocks, planner, scan
from mlpipe.index.blocks import CODES, Blocks
from mlpipe.index.index import Index
from mlpipe.index.rows import Confirmed
from mlpipe_tests.index.made import STORE, evaluation, metric, training


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with (
        patch.object(blocks, "SIZE", 4),
        patch.object(blocks, "STALE", 2),
        patch.object(planner, "FEW", 0),
        patch.object(planner, "FAR", 0),
    ):
        yield


def days(index: Index, query: str) -> list[str]:
    answer = index.ask(f"({query}) and not run is null order by partition")
    assert answer.way == "scan" or not answer.rows
    return [row["partition"][-2:] for row in answer.rows]


def numbers(index: Index, key: int) -> list[float | None]:
    held = Blocks(index.database)
    found, _ = held.held(key, np.ones(held.end // blocks.SIZE, dtype=bool))
    return [None if np.isnan(x) else x for x in found.tolist()]


def key_of(index: Index, name: str) -> int:
    return int(index.database.run("select id from key where name = ?", (name,))[0][0])


def test_blocks_hold_what_the_rows_hold(index: Index) -> None:
    # Of ten rows eight lie in blocks: of a alone everywhere and equal, of b at some places, of c a number or a text.
    index.add(
        [
            training(
                d, params={"a": 2, "c": 0.5 if d < 6 else "x"} | ({"b": d / 4} if d in (1, 2, 7) else {})
            )
            for d in range(10)
        ],
        STORE,
    )
    assert blocks.covered(index.database) == 8
    assert numbers(index, key_of(index, "params.a")) == [2.0] * 8
    assert numbers(index, key_of(index, "params.b")) == [None, 0.25, 0.5, None, None, None, None, 1.75]
    assert numbers(index, key_of(index, "params.c")) == [0.5] * 6 + [None, None]
    assert numbers(index, CODES["size"]) == [100.0] * 8
    held = Blocks(index.database)
    _, words = held.held(key_of(index, "params.c"), np.array([False, True]))
    x = index.database.run("select id from word where text = 'x'")[0][0]
    assert words.tolist() == [0] * 6 + [x, x]
    stored = index.database.run(
        "select places, numbers from block where key = ? and number = 0", (key_of(index, "params.a"),)
    )
    # All equal ones are written once.
    assert stored[0][0] is None and len(bytes(stored[0][1])) == 8
    assert days(index, "params.c is not null and params.a < 3") == [f"{d:02}" for d in range(1, 11)]


def test_a_row_that_changed_is_looked_at_itself_until_its_block_is_written_anew(index: Index) -> None:
    made = [training(d, metrics=(metric("f1", 0.1, "valid"),)) for d in range(9)]
    index.add(made, STORE)
    index.add([evaluation(made[1], 1, f1=0.7)], STORE)
    index.mark_deleted([made[2].id])
    stale = [n for (n,) in index.database.run("select row from stale order by row")]
    assert stale == [2, 3] and numbers(index, CODES["deleted"])[2] == 0.0
    assert days(index, "metrics.f1 > 0.5") == ["02"] and days(index, "deleted = true") == ["03"]
    assert "02" not in days(index, "metrics.f1 < 0.5")
    index.confirm([Confirmed(made[3].id, 5, deleted=True), Confirmed(made[2].id, 6)], "here")
    assert index.database.run("select * from stale") == []
    assert numbers(index, CODES["deleted"])[:4] == [0.0, 0.0, 0.0, 1.0]
    assert days(index, "deleted = true") == ["04"] and days(index, "metrics.f1 > 0.5") == ["02"]


def test_the_number_of_a_removed_row_is_given_again(index: Index) -> None:
    made = [training(d, params={"a": d}) for d in range(8)]
    index.add(made, STORE)
    index.remove([made[7].id])
    with patch.object(scan, "TIED", 0):
        first = index.ask("order by params.a desc limit 1")
    assert [r["partition"] for r in first.rows] == ["2024-01-07"] and first.more
    index.add([training(20, params={"a": 99})], STORE)
    assert index.database.run("select max(n) from record") == [(8,)]
    assert days(index, "params.a >= 6") == ["07", "21"] and days(index, "params.a = 7") == []


def test_a_scan_finds_the_first_of_equal_ones(index: Index) -> None:
    index.add([training(d, params={"a": d % 2, "b": f"t{d % 4}"}) for d in range(16)], STORE)
    with patch.object(scan, "TIED", 0), patch.object(planner, "MANY", 0):
        for query, wanted in (
            ("order by params.a desc limit 3", [15, 13, 11]),
            ("order by params.b desc, params.a limit 5", [15, 11, 7, 3, 14]),
            ('params.b like "%1" order by params.a, started limit 2', [1, 5]),
        ):
            answer = index.ask(query)
            assert [int(r["run"][4:]) for r in answer.rows] == wanted and answer.way == "scan"
