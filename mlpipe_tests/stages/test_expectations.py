"""What Great Expectations is asked, and about which columns."""

import pandas as pd

from mlpipe.spec.sources import Column, Contract
from mlpipe.stages.expectations import Answer, evaluate
from mlpipe.stages.suite import compile_suite

FRAME = pd.DataFrame({"size": [50, 60, 70], "SIZE": [1, 2, 30], "Size": [5, 5, 6], "other": [1, 1, 1]})


def answers(contract: Contract) -> dict[str, Answer]:
    return evaluate(FRAME, [r for r in compile_suite(contract).rules if r.kind not in ("exists", "dtype")])


def rows(answer: Answer) -> list[int] | None:
    return None if answer.broken is None else answer.broken.tolist()


def test_columns_that_differ_in_capitals_are_each_asked_about() -> None:
    """By hand: of each column exactly the last value lies outside; the first column's values all lie outside the second's range."""
    bounds = {"size": (0, 65), "SIZE": (0, 10), "Size": (5, 5), "other": (1, 1)}
    found = answers(Contract(columns={n: Column(min=low, max=high) for n, (low, high) in bounds.items()}))
    assert {n: rows(a) for n, a in found.items()} == {
        "size between 0 and 65": [2],
        "SIZE between 0 and 10": [2],
        "Size between 5 and 5": [2],
        "other between 1 and 1": None,
    }
    assert [a.success for a in found.values()] == [False, False, False, True]


def test_a_rule_about_several_such_columns_is_not_guessed() -> None:
    found = answers(Contract(columns={"SIZE": Column(max=10)}, unique=("size", "Size")))
    assert "cannot tell these columns apart: 'size', 'Size'" in found["size, Size unique"].error
    assert rows(found["SIZE at most 10"]) == [2] and not found["SIZE at most 10"].error
    one = answers(Contract(unique=("Size", "other")))["Size, other unique"]
    assert rows(one) == [0, 1] and not one.success
