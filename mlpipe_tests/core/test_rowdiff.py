"""Row differences: by hand, and against dictionaries."""

from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.rowdiff import Change, row_diff

OLD = pd.DataFrame({"id": [1, 2, 3], "price": [1.0, 2.0, None], "city": ["Ulm", "Bonn", None]})
NEW = pd.DataFrame(
    {"id": [3, 2, 4], "price": [None, 2.5, 9.0], "city": [None, "Bonn", "Kiel"], "more": [1, 2, 3]}
)


def test_rows_are_met_by_key_whatever_their_order() -> None:
    found = row_diff(OLD, NEW, ["id"])
    assert (found.added, found.removed, found.changed, found.same) == (1, 1, 1, 1)
    assert found.columns == {"price": 1}
    assert found.added_keys == ((4,),) and found.removed_keys == ((1,),)
    assert found.examples == (Change((2,), "price", 2.0, 2.5),)


def test_without_keys_rows_are_counted() -> None:
    old, new = pd.DataFrame({"a": [1, 1, 2]}), pd.DataFrame({"a": [1.0, 2.0, 2.0, 3.0]})
    found = row_diff(old, new)
    assert (found.added, found.removed, found.changed, found.same) == (2, 1, 0, 2)


def test_a_repeated_key_is_met_in_its_order() -> None:
    old, new = pd.DataFrame({"k": [1, 1], "v": [5, 6]}), pd.DataFrame({"k": [1, 1, 1], "v": [5, 7, 8]})
    found = row_diff(old, new, ["k"])
    assert (found.added, found.changed, found.same, found.repeated) == (1, 1, 1, 3)


def test_text_is_no_number_and_an_integer_is_the_same_float() -> None:
    assert (
        row_diff(pd.DataFrame({"k": [1], "v": [1]}), pd.DataFrame({"k": [1], "v": [1.0]}), ["k"]).changed == 0
    )
    assert (
        row_diff(pd.DataFrame({"k": [1], "v": [1]}), pd.DataFrame({"k": [1], "v": ["1"]}), ["k"]).changed == 1
    )


def test_empty_tables_differ_in_their_rows_alone() -> None:
    found = row_diff(OLD.head(0), OLD, ["id"])
    assert (found.added, found.removed, found.changed, found.same) == (3, 0, 0, 0)
    found = row_diff(OLD, OLD.head(0), ["id"])
    assert (found.added, found.removed) == (0, 3)


TABLES = st.dictionaries(
    st.integers(0, 8), st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.sampled_from(["a", "b", None]))
)


def frame(rows: dict[int, tuple[Any, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "k": pd.Series(list(rows), dtype="int64"),
            "n": pd.Series([r[0] for r in rows.values()], dtype="float64"),
            "t": pd.Series([r[1] for r in rows.values()], dtype="object"),
        }
    )


@given(TABLES, TABLES)
def test_counts_are_those_of_dictionaries(
    old: dict[int, tuple[Any, Any]], new: dict[int, tuple[Any, Any]]
) -> None:
    found = row_diff(frame(old), frame(new), ["k"])
    both = old.keys() & new.keys()
    assert found.added == len(new.keys() - old.keys()) and found.removed == len(old.keys() - new.keys())
    assert found.changed == sum(old[k] != new[k] for k in both) and found.same == sum(
        old[k] == new[k] for k in both
    )
    assert found.columns.get("n", 0) == sum(old[k][0] != new[k][0] for k in both)
    assert found.columns.get("t", 0) == sum(old[k][1] != new[k][1] for k in both)
