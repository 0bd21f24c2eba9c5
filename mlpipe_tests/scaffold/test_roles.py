from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpipe.errors import DataError
from mlpipe.scaffold.cells import cells_of
from mlpipe.scaffold.roles import leaks, roles_of
from mlpipe.scaffold.target import target_of

N = 200
DRAW = np.random.default_rng(1)


def target(values: Any) -> Any:
    column = pd.Series(values)
    return target_of(cells_of(column, "y"), column, "rows.csv")


BINARY = DRAW.integers(0, 2, N)


def role(values: Any, name: str = "x", label: Any = BINARY, moment: Any = None) -> str:
    """Why a column is no feature; empty when it is one."""
    cells = {
        name: cells_of(pd.Series(values), name),
        "other": cells_of(pd.Series(DRAW.normal(size=N)), "other"),
    }
    return roles_of(cells, target(label), {}, moment).left_out.get(name, "")


@pytest.mark.parametrize(
    ("values", "name", "why"),
    [
        (DRAW.normal(size=N), "x", ""),
        (DRAW.choice(list("abc"), N), "x", ""),
        ([1] * N, "x", "constant"),
        ([None] * N, "x", "no value"),
        (np.arange(N), "n", "running number"),
        (DRAW.permutation(10**6)[:N], "customer_id", "identifier"),
        ([f"u-{i:05}" for i in DRAW.permutation(N)], "who", "identifier"),
        ([f"the customer wrote {i} letters about it" for i in range(N)], "x", "free text"),
        (['["a", "b"]'] * N, "x", "lists"),
        (["2024-01-01", "2024-01-02"] * 100, "x", "time"),
        (DRAW.normal(size=N), "_row", "name"),
    ],
)
def test_why_a_column_is_no_feature(values: Any, name: str, why: str) -> None:
    found = role(values, name)
    assert (why in found) if why else not found, found


def test_codes_are_categories() -> None:
    cells = {"store_id": cells_of(pd.Series(DRAW.integers(1, 9, N)), "store_id")}
    assert roles_of(cells, target(BINARY), {}, None).categories == ("store_id",)


def test_times_after_the_prediction_look_like_the_future() -> None:
    moment = pd.Series(pd.Timestamp("2024-01-01", tz="UTC"), index=range(N))
    assert "future" in role(["2024-02-01"] * 100 + ["2023-02-01"] * 100, "closed", moment=moment)
    assert "future" not in role(["2023-02-01"] * 100 + ["2023-03-01"] * 100, "opened", moment=moment)


WORDS = np.where(BINARY == 1, "lost", "kept")
PRICE = DRAW.lognormal(size=N)


@pytest.mark.parametrize(
    ("values", "label", "said"),
    [
        (BINARY * 2.0 + DRAW.uniform(size=N), BINARY, "AUC of 1.000"),
        (WORDS, BINARY, "name the label"),
        (np.where(BINARY == 1, "2024-01-01", None), BINARY, "filled only where"),
        (np.where(BINARY == 1, DRAW.normal(size=N), np.nan), BINARY, "filled only where the label is '1'"),
        (PRICE * 1.19, PRICE, "rank correlation 1.0000"),
        (BINARY + DRAW.normal(size=N), BINARY, ""),
        (PRICE + DRAW.normal(size=N), PRICE, ""),
        (DRAW.choice(list("abc"), N), WORDS, ""),
        (np.where(DRAW.uniform(size=N) < 0.3, np.nan, 1.0), BINARY, ""),
    ],
)
def test_what_looks_like_the_future(values: Any, label: Any, said: str) -> None:
    found = leaks(cells_of(pd.Series(values), "x"), target(label))
    assert (said in found) if said else not found, found


def test_when_nothing_else_is_left_suspects_stay_and_it_is_said() -> None:
    cells = {"x": cells_of(pd.Series(BINARY * 2.0), "x")}
    found = roles_of(cells, target(BINARY), {}, None)
    assert found.features == ("x",) and "before you trust" in found.notes[0]


@pytest.mark.parametrize(
    ("values", "task", "positive"),
    [
        (BINARY, "binary", None),
        (BINARY + 1, "binary", None),
        (BINARY == 1, "binary", None),
        (np.where(BINARY == 1, "yes", "no"), "binary", "yes"),
        (np.where(BINARY == 1, "Y ", "n"), "binary", "y"),
        (np.where(DRAW.uniform(size=N) < 0.1, "spam", "ham"), "binary", "spam"),
        (DRAW.choice(list("abcd"), N), "multiclass", None),
        (DRAW.integers(0, 10, N), "multiclass", None),
        (DRAW.integers(0, 500, N), "regression", None),
        (PRICE, "regression", None),
        ([f"{v:,.0f}" for v in PRICE * 10**5], "regression", None),
    ],
)
def test_what_a_label_asks_for(values: Any, task: str, positive: str | None) -> None:
    found = target(values)
    assert (found.task, found.positive) == (task, positive)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([None] * N, "no value"),
        ([1] * N, "in every row"),
        ([1, 0] * 5, "only 10 rows"),
        (["2024-01-01", "2024-01-02"] * 50, "times"),
        ([f"w{i}" for i in range(N)], "too many for classes"),
        (["[1]", "[2]"] * 50, "lists"),
    ],
)
def test_labels_that_nothing_can_be_learned_from(values: Any, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        target(values)
    assert "column y" in str(error.value) and error.value.fix
