"""Hints at columns that changed their names."""

import numpy as np
import pandas as pd

from mlpipe.core.renames import renames

RNG = np.random.default_rng(3)
N = 400
TABLE = pd.DataFrame(
    {
        "id": np.arange(N),
        "price": RNG.gamma(2, 3, N),
        "age": RNG.integers(18, 90, N),
        "city": RNG.choice(["Ulm", "Bonn", "Kiel"], N, p=[0.6, 0.3, 0.1]),
    }
)


def named(old: pd.DataFrame, new: pd.DataFrame, keys: tuple[str, ...] = ()) -> dict[str, str]:
    return {r.before: r.after for r in renames(old, new, keys)}


def test_the_same_values_by_key_are_the_same_column() -> None:
    new = TABLE.sample(frac=1, random_state=1).rename(
        columns={"price": "amount", "city": "town", "age": "years"}
    )
    assert named(TABLE, new, ("id",)) == {"price": "amount", "city": "town", "age": "years"}
    assert "100% of 400 rows with the same key" in renames(TABLE, new, ("id",))[0].why


def test_other_values_by_key_are_another_column_however_they_are_distributed() -> None:
    new = TABLE.drop(columns="price").assign(cost=TABLE["price"].sample(frac=1, random_state=2).to_numpy())
    assert named(TABLE, new, ("id",)) == {}


def test_without_common_rows_the_distribution_tells() -> None:
    later = pd.DataFrame(
        {
            "id": np.arange(N) + N,
            "amount": RNG.gamma(2, 3, N),
            "years": RNG.integers(18, 90, N),
            "town": RNG.choice(["Ulm", "Bonn", "Kiel"], N, p=[0.6, 0.3, 0.1]),
        }
    )
    assert named(TABLE, later, ("id",)) == {"price": "amount", "age": "years", "city": "town"}


def test_no_hint_where_nothing_is_alike() -> None:
    new = TABLE.drop(columns=["price", "city"]).assign(
        weight=RNG.normal(500, 1, N), land=RNG.choice(["DE", "AT"], N)
    )
    assert named(TABLE, new) == {}
    assert named(TABLE.assign(x=1.0), TABLE.assign(y=1.0)) == {}
    assert named(TABLE.head(0), TABLE.rename(columns={"price": "amount"})) == {}
