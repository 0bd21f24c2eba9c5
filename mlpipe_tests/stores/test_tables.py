"""The content id of a table: what changes it and what does not."""

import datetime as dt
import hashlib
import struct
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.errors import DataError, StoreError
from mlpipe.stores.tables import canonical, from_parquet, table_id, to_frame, to_parquet

EVERY_TYPE = pd.DataFrame(
    {
        "i": pd.array([2**62 + 1, None, 3], dtype="Int64"),
        "u": np.array([1, 2, 3], dtype="uint8"),
        "f": [1.5, np.nan, -0.0],
        "f4": np.array([1.5, np.nan, 0], dtype="float32"),
        "b": pd.array([True, None, False], dtype="boolean"),
        "s": ["ä", None, ""],
        "y": [b"x", None, b""],
        "d": [dt.date(1, 1, 1), None, dt.date(9999, 12, 31)],
        "c": [dt.time(1, 2, 3, 4), None, dt.time(0)],
        "t": pd.Series(["2024-01-01", None, "1999-12-31T23:59:59.123456789"], dtype="datetime64[ns]"),
        "z": pd.Series(["2024-01-01", None, "2024-02-01"], dtype="datetime64[ns, Europe/Berlin]"),
        "p": pd.to_timedelta([1, None, -3], unit="s"),
        "m": [Decimal("1.50"), None, Decimal("20.25")],
        "n": [None, None, None],
    }
)


def id_of(frame: pd.DataFrame | pa.Table, *keys: str) -> str:
    return table_id(canonical(frame, keys))


def test_the_bytes_that_are_hashed_by_hand() -> None:
    frame = pd.DataFrame({"n": pd.array([7, None], dtype="Int32"), "s": ["é", "b"], "ok": [True, True]})

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    expected = b"mlpipe-table/1\n" + struct.pack("<QQ", 2, 3)
    expected += text("n") + text("int32") + struct.pack("<Q", 1) + bytes([0b01]) + struct.pack("<ii", 7, 0)
    expected += (
        text("s") + text("string") + struct.pack("<Q", 0) + struct.pack("<qqq", 0, 2, 3) + b"\xc3\xa9b"
    )
    expected += text("ok") + text("bool") + struct.pack("<Q", 0) + bytes([0b11])
    digest = hashlib.blake2b(expected, digest_size=20).hexdigest()
    assert id_of(frame) == f"table-{digest}" == "table-f656e41a9318a1b529a2b7434bec40700aa74700"


def test_the_id_of_every_type_stays_as_it_is() -> None:
    assert id_of(EVERY_TYPE) == "table-87cb23934afa29d27d077b9031e3b48bb06fe237"


def test_spelling_does_not_matter() -> None:
    frame = pd.DataFrame({"k": ["a", "b", "a"], "x": [1.0, np.nan, 2.0]})
    same = id_of(frame)
    categorical = frame.assign(k=frame["k"].astype("category"))
    objects = frame.assign(k=frame["k"].astype(object))
    table = pa.table({"k": ["a", "b", "a"], "x": pa.array([1.0, None, 2.0])})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 2)])
    sliced = pa.concat_tables([table, table]).combine_chunks().slice(3, 3)
    large = table.cast(pa.schema({"k": pa.large_string(), "x": pa.float64()}))
    encoded = table.set_column(0, "k", table["k"].dictionary_encode())
    nan = table.set_column(1, "x", pa.array([1.0, float("nan"), 2.0]))
    for other in (
        categorical,
        objects,
        frame.set_index(pd.Index([5, 6, 7], name="row")),
        table,
        chunked,
        sliced,
        large,
        encoded,
        nan,
        pa.Table.from_pandas(frame),
    ):
        assert id_of(other) == same


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_of_time_does_not_matter(unit: str) -> None:
    times = np.array(["2024-01-01T10:00:00", "1970-01-01T00:00:00"])
    frame = pd.DataFrame({"t": times.astype("datetime64[ns]")})
    other = pd.DataFrame({"t": times.astype(f"datetime64[{unit}]")})
    assert id_of(other) == id_of(frame)
    zoned = pd.DataFrame({"t": other["t"].dt.tz_localize("UTC")})
    assert id_of(zoned) != id_of(frame)
    assert id_of(zoned) == id_of(pd.DataFrame({"t": frame["t"].dt.tz_localize(dt.UTC)}))


@pytest.mark.parametrize(
    "other",
    [
        {"a": [1, 2], "b": ["x", "z"]},
        {"a": [1, 2], "c": ["x", "y"]},
        {"b": ["x", "y"], "a": [1, 2]},
        {"a": [2, 1], "b": ["y", "x"]},
        {"a": [1.0, 2.0], "b": ["x", "y"]},
        {"a": [1, 2], "b": ["x", None]},
        {"a": [1, 2], "b": ["xy", ""]},
        {"a": [1, 2]},
        {"a": [1], "b": ["x"]},
    ],
)
def test_values_names_types_and_orders_do_matter(other: dict[str, Any]) -> None:
    assert id_of(pd.DataFrame(other)) != id_of(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))


def test_null_is_neither_zero_nor_empty() -> None:
    assert id_of(pa.table({"a": pa.array([0, None])})) != id_of(pa.table({"a": pa.array([0, 0])}))
    assert id_of(pa.table({"a": pa.array(["", None])})) != id_of(pa.table({"a": pa.array(["", ""])}))
    assert id_of(pa.table({"a": pa.array([None, 1])})) != id_of(pa.table({"a": pa.array([1, None])}))


ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["", "a", "ab", None]),
        st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), None]),
    ),
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_with_keys_the_order_of_rows_does_not_matter_even_when_keys_repeat(
    rows: list[Any], random: Any
) -> None:
    schema = pa.schema({"k": pa.int64(), "s": pa.string(), "x": pa.float64()})

    def table(of: list[Any]) -> pa.Table:
        return pa.table(
            [pa.array([row[i] for row in of], kind) for i, kind in enumerate(schema.types)], schema
        )

    shuffled = random.sample(rows, len(rows))
    first, second = canonical(table(rows), ["k"]), canonical(table(shuffled), ["k"])
    assert first.equals(second)
    assert table_id(first) == table_id(second)
    assert first["k"].to_pylist() == sorted(row[0] for row in rows)
    assert table_id(canonical(first, ["k"])) == table_id(first)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_parquet_and_frames_bring_back_the_same_table(rows: list[Any]) -> None:
    frame = pd.DataFrame(
        {
            "k": pd.Series([r[0] for r in rows], dtype="int64"),
            "s": pd.Series([r[1] for r in rows], dtype="str"),
            "x": pd.Series([r[2] for r in rows], dtype="float64"),
        }
    )
    table = canonical(frame)
    again = from_parquet(to_parquet(table))
    assert again.schema == table.schema and again.equals(table)
    assert id_of(to_frame(again)) == table_id(table)
    pd.testing.assert_frame_equal(to_frame(again), frame)


def test_every_type_comes_back() -> None:
    table = canonical(EVERY_TYPE)
    again = from_parquet(to_parquet(table))
    assert again.schema == table.schema and again.equals(table)
    back = to_frame(again)
    assert id_of(back) == table_id(table)
    assert back["i"].tolist()[0] == 2**62 + 1 and str(back["i"].dtype) == "Int64"
    assert back["d"].tolist()[2] == dt.date(9999, 12, 31)
    assert str(back["z"].dtype) == "datetime64[ns, Europe/Berlin]"
    assert id_of(EVERY_TYPE.iloc[::-1], "i") == id_of(EVERY_TYPE, "i")
    for key in EVERY_TYPE.columns:
        assert id_of(EVERY_TYPE.sample(frac=1, random_state=1), key) == id_of(EVERY_TYPE, key)


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame(index=range(3)), EVERY_TYPE.iloc[:0]])
def test_no_rows_and_no_columns(frame: pd.DataFrame) -> None:
    table = canonical(frame)
    again = from_parquet(to_parquet(table))
    assert again.num_rows == 0 and again.schema == table.schema
    assert table_id(again) == table_id(table) == id_of(to_frame(again))


def test_the_writer_of_the_parquet_does_not_matter() -> None:
    table = canonical(EVERY_TYPE)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", row_group_size=1, version="2.6")
    other = sink.getvalue().to_pybytes()
    assert other != to_parquet(table)
    assert table_id(canonical(from_parquet(other))) == table_id(table)


def test_only_the_columns_asked_for_in_their_order() -> None:
    data = to_parquet(canonical(EVERY_TYPE))
    assert from_parquet(data, ["s", "i"]).column_names == ["s", "i"]
    with pytest.raises(DataError, match=r"no columns \['ss'\]"):
        from_parquet(data, ["ss"])


def test_a_frame_is_the_callers_own() -> None:
    table = canonical(pd.DataFrame({"a": [1.0, 2.0]}))
    frame = to_frame(table)
    frame.loc[0, "a"] = 9.0
    assert table["a"].to_pylist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, "a"], ["1 (int)", "'a' (str)"]),
        ([b"x", "y"], ["b'x' (bytes)", "'y' (str)"]),
        ([True, 2], ["True (bool)", "2 (int)"]),
        ([[1], [2]], ["[1] (list)"]),
        ([{"a": 1}], ["{'a': 1} (dict)"]),
        ([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], ["datetime"]),
        ([dt.datetime(9999, 1, 1)], ["1677 to 2262"]),
        ([2**70], ["(int)"]),
    ],
)
def test_what_no_column_can_hold_is_named_with_examples(values: list[Any], said: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        canonical(pd.DataFrame({"fine": range(len(values)), "odd": pd.Series(values, dtype=object)}))
    for text in ("column 'odd'", *said):
        assert text in str(caught.value)
    assert "fine" not in str(caught.value)


def test_all_bad_columns_are_named_at_once() -> None:
    frame = pd.DataFrame({"a": pd.Series([1, "x"], dtype=object), "b": [[1], [2]]})
    with pytest.raises(DataError) as caught:
        canonical(frame)
    assert [finding.where for finding in caught.value.findings] == ["column 'a'", "column 'b'"]


def test_names_must_be_text_and_unique() -> None:
    with pytest.raises(DataError, match=r"more than once: \['a'\]"):
        canonical(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="must be text"):
        canonical(pd.DataFrame([[1, 2]]))
    with pytest.raises(DataError, match=r"keys \['usr'\].*\n.*'user'.*reset_index"):
        canonical(pd.DataFrame({"user": [1]}), ["usr"])


def test_damage_is_noticed() -> None:
    data = to_parquet(canonical(pd.DataFrame({"a": np.arange(1000.0)})))
    for bad in (b"", b"PAR1", data[:-1], data[: len(data) // 2], b"{}"):
        with pytest.raises(StoreError, match="damaged"):
            from_parquet(bad)
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 1
    with pytest.raises(StoreError, match="damaged"):
        from_parquet(bytes(flipped))
