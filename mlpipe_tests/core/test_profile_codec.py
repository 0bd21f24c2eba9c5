"""Bytes of profiles."""

import struct
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from mlpipe.core.grid import build
from mlpipe.core.profile import Profile, merge, profile
from mlpipe.core.profile_codec import from_bytes, to_bytes
from mlpipe.errors import StoreError
from mlpipe_tests.core.test_profile import SMALL, assert_same, frame_of, tables


def sample() -> Profile:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=2_000), "c": rng.choice(["a", "é"], 2_000), "n": [np.nan] * 2_000}
    )
    day = pd.DataFrame({"x": [1e9, np.inf, np.nan], "c": ["new", None, "a"], "more": [1, 2, 3]})
    return merge([profile(frame, grid := build(frame)), profile(day, grid)])


@given(tables, tables)
@settings(max_examples=30, deadline=None)
def test_round_trip(first: list[Any], rows: list[Any]) -> None:
    found = profile(frame_of(rows), build(frame_of(first), bins=8))
    again = from_bytes(to_bytes(found))
    assert_same(again, found)
    assert to_bytes(again) == to_bytes(found)


def test_round_trip_of_a_merged_profile() -> None:
    found = sample()
    again = from_bytes(to_bytes(found))
    assert_same(again, found)
    assert again.missing == ("n",) and again.extra == ("more",) and again.grid_version == 1
    assert again.columns["c"].unseen.counts == {"new": 1}
    assert again.columns["x"].counts.dtype == np.int64 and again.columns["x"].counts.flags.writeable


@pytest.mark.parametrize(
    ("count", "width"), [(255, 1), (256, 2), (65_535, 2), (65_536, 4), (2**32 - 1, 4), (2**32, 8), (2**62, 8)]
)
def test_counts_of_every_width(count: int, width: int) -> None:
    found = profile(pd.DataFrame({"x": [0.5]}), SMALL)
    narrow = len(to_bytes(found))
    found.columns["x"].counts[1] = count
    assert len(to_bytes(found)) == narrow + width - 1
    assert from_bytes(to_bytes(found)).columns["x"].counts.tolist() == [0, count, 0, 0]


def test_layout_stands() -> None:
    data = to_bytes(profile(pd.DataFrame({"x": [0.5, 1.5, 1.25]}), SMALL))
    magic, found, length = struct.unpack_from("<4sHI", data)
    assert (magic, found) == (b"MLPF", 1)
    body = data[10 + length :]
    # Bins 1 and 2 of four hold 1 and 2 rows with sums 0.5 and 2.75; then the moments; then three hashes.
    assert body[:3] == bytes([0b01100000, 1, 2])
    assert struct.unpack_from("<2d", body, 3) == (0.5, 2.75)
    n, mean, _, low, high = struct.unpack_from("<q4d", body, 19)
    assert (n, low, high) == (3, 0.5, 1.5) and mean == pytest.approx(3.25 / 3)
    assert len(body) == 19 + 40 + 3 * 8


def test_column_order_does_not_change_the_bytes() -> None:
    found = sample()
    turned = Profile(1, dict(reversed(list(found.columns.items()))), found.rows, found.missing, found.extra)
    assert to_bytes(turned) == to_bytes(found)


def test_bytes_are_compact() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(20_000, 10))).add_prefix("c")
    assert len(to_bytes(profile(frame, build(frame)))) < 10 * 15_000


@pytest.mark.parametrize("cut", [3, 9, 40, 200, 2_000, -1])
def test_cut_bytes_are_refused(cut: int) -> None:
    with pytest.raises(StoreError, match=r"not a profile|damaged"):
        from_bytes(to_bytes(sample())[:cut])


def test_other_bytes_are_refused() -> None:
    data = to_bytes(sample())
    with pytest.raises(StoreError, match=r"format 7.*reads format 1"):
        from_bytes(data[:4] + b"\x07\x00" + data[6:])
    with pytest.raises(StoreError, match="not a profile"):
        from_bytes(b"PAR1" + data[4:])
    with pytest.raises(StoreError, match="1 bytes too many"):
        from_bytes(data + b"x")
