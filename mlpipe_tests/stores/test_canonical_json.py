"""One spelling for one value."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.errors import StoreError
from mlpipe.stores.canonical_json import canonical_json, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_by_hand() -> None:
    value = {"b": [1, 2.5, None, True], "a": {"é": math.nan, "x": -math.inf}}
    assert canonical_json(value) == '{"a":{"x":null,"é":null},"b":[1,2.5,null,true]}'.encode()


@settings(max_examples=60)
@given(VALUES)
def test_a_value_comes_back_and_is_spelled_the_same_again(value: object) -> None:
    data = canonical_json(value)
    assert parse_json(data, "here") == value
    assert canonical_json(parse_json(data, "here")) == data


def test_the_order_of_keys_and_the_type_of_numbers_do_not_matter() -> None:
    plain = canonical_json({"a": 1, "b": [1.5, 2], "c": True})
    assert canonical_json({"c": np.True_, "b": (np.float64(1.5), np.int8(2)), "a": np.int64(1)}) == plain
    assert canonical_json({"a": np.array([[1, 2], [3, 4]])}) == b'{"a":[[1,2],[3,4]]}'


@pytest.mark.parametrize("value", [{1: 2}, {"a": [object()]}, {"a": {1, 2}}, b"x", {"a": {"b": lambda: 0}}])
def test_nothing_is_spelled_by_guessing(value: object) -> None:
    with pytest.raises(StoreError, match=r"JSON cannot hold"):
        canonical_json(value)


def test_the_place_is_named() -> None:
    with pytest.raises(StoreError) as caught:
        canonical_json({"a": [1, {"b": object()}]})
    assert str(caught.value).startswith("$.a[1].b: JSON cannot hold object.")
    with pytest.raises(StoreError, match="here: Stored JSON is damaged"):
        parse_json(b"{", "here")
    with pytest.raises(StoreError):
        parse_json(b"\xff\xfe", "here")
