"""Functions of the user's that raise, give something else than they should, change what they are given, or never end.

Each is told with its file and line. There is no metric of the user's own yet.
"""

import re

import pytest

from mlpipe_tests.refusals.conftest import LAST, NEXT, TRAINED
from mlpipe_tests.refusals.project import BEFORE, Project, days, orders

ONE = ("run", "shop", "--from", NEXT)
LINE = r"definitions\.py:\d+"
LOAD = """
import time

import pandas as pd
from mlpipe_tests.refusals.project import orders


def load(window):
    rows = pd.concat([orders(key) for key in window.keys])
    {body}
"""
SOURCE = 'ml.Load(load, event_time="at", keys=["order"])'


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("raise ValueError('no <b>rows</b> today')", 6, ["load raised ValueError: no <b>rows</b> today"]),
        ("raise SystemExit(3)", 6, ["load raised SystemExit: 3", "Mend the function"]),
        ("return load(window)", 6, ["load raised RecursionError"]),
        ("window.keys = ()", 6, ["FrozenInstanceError: cannot assign to field 'keys'"]),
        ("return {'rows': rows}", 6, ["a DataFrame was expected, dict came", "Return a pandas DataFrame"]),
        ("return rows.drop(columns='at')", 1, ["there is no column 'at'"]),
        ("return pd.concat([rows, rows], axis=1)", 1, ["two columns are named 'order'"]),
        (
            "return rows.assign(size=[[1]] * len(rows))",
            1,
            [f"partition {NEXT}", "column 'size'", "[1] (list)"],
        ),
        ("raise ConnectionError('no route')", 5, ["load failed: ConnectionError: no route", "It may pass"]),
        ("time.sleep(60)", 5, ["the load took longer than 0.5 s", "raise 'timeout'"]),
    ],
    ids=[
        "raises",
        "exits",
        "recursion",
        "mutates",
        "type",
        "column",
        "twice",
        "nested",
        "passing",
        "endless",
    ],
)
def test_a_source_that_misbehaves(shop: Project, body: str, code: int, words: list[str]) -> None:
    shop.declare(LOAD.format(body=body), source=SOURCE, timeout='"0.5s"' if "sleep" in body else None)
    text = shop.refused(shop(*ONE), code, "pipeline shop, source rows", *words)
    assert code != 6 or re.search(LINE, text) or "project.py:" in text, text
    assert NEXT not in shop.verdicts("raw") and shop.decisions() == BEFORE
    shop.sound()


def test_rows_outside_of_what_was_asked_for_and_rows_in_another_order(shop: Project) -> None:
    """What was not asked for stays out; order and index of what a source gives say nothing."""
    earlier = "rows.assign(at=rows['at'] - pd.Timedelta(days=400), order=-rows['order'])"
    body = f"return pd.concat([rows, {earlier}]).sample(frac=1, random_state=1)"
    shop.declare(LOAD.format(body=body), source=SOURCE)
    assert shop(*ONE).code == 0
    table = shop.table("raw", NEXT)
    assert table["order"].tolist() == orders(NEXT)["order"].tolist()
    assert shop.verdicts("predictions")[NEXT] == "pass"


# -- features, labels and repairs: each day the function does something else ------------------------------------------

BY_DAY = """
import time

import numpy as np
import pandas as pd


def raises(rows):
    raise ValueError("a bad day")


def leaves(rows):
    raise SystemExit(3)


def endless(rows):
    while True:
        time.sleep(9)

{functions}

def day(rows):
    return rows["at"].iloc[0].day
"""
FEATURES = """
def of_day(rows):
    fine = rows[["size", "region"]]
    return {
        1: lambda: fine.sort_values("size"),
        2: lambda: raises(rows),
        3: lambda: fine["size"],
        4: lambda: fine.head(3),
        5: lambda: fine,
        6: lambda: fine.sort_values("size").reset_index(drop=True),
        7: lambda: endless(rows),
        8: lambda: fine.assign(_row=1),
        9: lambda: fine.assign(size=1j),
        10: lambda: leaves(rows),
    }[day(rows)]()


def features(frames, history):
    rows = frames["rows"]
    made = of_day(rows)
    # What it is given is its own: nobody else sees what it does to it.
    rows.drop(rows.index, inplace=True)
    return made
"""
TOLD = {
    2: "features raised ValueError: a bad day",
    3: "the feature function returned a Series. Return a pandas DataFrame.",
    4: "the feature function returned 3 rows for 12, or changed their index",
    6: "returned the values of 'size' in another order than their rows. Keep the index",
    7: "the feature function took longer than 0.5 s",
    8: "the feature function returns '_row', which no feature may be",
    9: "column 'size': values of a type that no column can hold, such as",
    10: "features raised SystemExit: 3",
}


def test_features_that_misbehave_are_told_for_each_day_and_the_other_days_are_made(new: Project) -> None:
    keys = days(count=10)
    for key in keys[8:]:
        new.data(key, orders(key))
    new.declare(BY_DAY.format(functions=FEATURES), features="features", timeout='"0.5s"', monitor=None)
    text = new.refused(new("run", "shop", "--from", keys[0], "--to", keys[9]), 6, "8 of 10 partitions failed")
    for n, said in TOLD.items():
        line = next(at for at in text.splitlines() if f"partition {keys[n - 1]}, features" in at)
        assert said in line, line
        assert n == 9 or re.search(LINE, line), line
    assert new.verdicts("features") == {keys[0]: "pass", keys[4]: "pass"}
    assert set(new.verdicts("labels")) == {keys[0], keys[4]}
    # Of rows that were sorted each keeps its own values.
    assert new.table("features", keys[0])["size"].tolist() == orders(keys[0])["size"].tolist()
    assert new.decisions() == []
    new.sound()


def test_a_function_that_fails_on_every_day_is_not_asked_for_ever(new: Project) -> None:
    """Two time limits, or ten errors, in a row are enough."""
    keys = days(count=14)
    for key in keys[8:]:
        new.data(key, orders(key))
    calls = '    with open("calls", "a") as file:\n        file.write("x")\n'
    for body, most in (("endless(rows)", 2), ("raises(rows)", 10)):
        (new.folder / "calls").unlink(missing_ok=True)
        function = f"def features(frames, history):\n    rows = frames['rows']\n{calls}    {body}\n"
        new.declare(BY_DAY.format(functions=function), features="features", timeout='"1s"')
        text = new.refused(new("run", "shop", "--from", keys[0], "--to", keys[-1]), 6, "; the step gave up")
        # The grid of profiles is made from the first three days, and asks before the step does.
        assert len((new.folder / "calls").read_text()) in (most + 2, most + 3)
        assert f"{most} of 14 partitions failed" in text
    assert new.verdicts("features") == {} and len(new.verdicts("validated")) == 14
    new.sound()


LABEL = """
def label(rows):
    late = rows["late"]
    return {
        1: lambda: late.sort_values(),
        2: lambda: raises(rows),
        3: lambda: None,
        4: lambda: late.head(2),
        5: lambda: [object()] * len(rows),
        6: lambda: endless(rows),
    }[day(rows)]()
"""
REPAIR = """
def mend(rows):
    return {
        1: lambda: rows.assign(size=1.0),
        2: lambda: raises(rows),
        3: lambda: None,
        4: lambda: rows[["size"]],
        5: lambda: rows.set_index(rows.index + 1000),
        6: lambda: endless(rows),
    }[day(rows)]()
"""
CONTRACT = (
    'ml.CSV("data/{partition}.csv", event_time="at", keys=["order"], '
    'contract=ml.Contract(columns={"size": ml.Column(max=40)}, floor=0, repair=mend))'
)


@pytest.mark.parametrize(
    ("functions", "parts", "asset", "told"),
    [
        (
            LABEL,
            {"label": 'ml.Label(function=label, outcomes=["late"])'},
            "labels",
            [
                "label raised ValueError: a bad day",
                "must return one value a row (12 rows, with their index), got a NoneType",
                "got 2 values",
                "column 'label': values of a type that no column can hold",
                "the label function took longer than 0.5 s",
            ],
        ),
        (
            REPAIR,
            {"source": CONTRACT},
            "validated",
            [
                "mend raised ValueError: a bad day",
                "a DataFrame was expected, NoneType came",
                "the columns differ: at, late, order, region",
                "the index is not that of the rows",
                "the repair took longer than 0.5 s",
            ],
        ),
    ],
    ids=["label", "repair"],
)
def test_labels_and_repairs_that_misbehave(
    new: Project, functions: str, parts: dict[str, str], asset: str, told: list[str]
) -> None:
    keys = days(count=6)
    new.declare(BY_DAY.format(functions=functions), timeout='"0.5s"', **parts)
    text = new.refused(new("run", "shop", "--from", keys[0], "--to", keys[5]), 6, "5 of 6 partitions failed")
    for key, said in zip(keys[1:], told, strict=True):
        line = next(at for at in text.splitlines() if f"partition {key}" in at)
        assert said in line and (re.search(LINE, line) or "no column can hold" in said), line
    assert set(new.verdicts(asset)) == {keys[0]} and set(new.verdicts("raw")) == set(keys)
    new.sound()


# -- models and baselines ---------------------------------------------------------------------------------------------

FIT = """
import time

import numpy as np
from sklearn.dummy import DummyClassifier


class Odd(DummyClassifier):
    def predict_proba(self, X):
        {predict}


def fit(train, valid, params, log):
    {body}
"""
FITTED = "return Odd().fit(train.X, train.y)"


@pytest.mark.parametrize(
    ("body", "predict", "words"),
    [
        ("raise ValueError('singular')", "pass", ["fit raised ValueError: singular"]),
        ("return None", "pass", ["the model is a NoneType, which has no predict_proba", "Return a fitted"]),
        ("return LogisticRegression()", "pass", ["The model cannot score these 12 rows: NotFittedError"]),
        (
            FITTED,
            "raise KeyError('size')",
            ["The model cannot score these 12 rows: KeyError", "Mend the model"],
        ),
        (FITTED, "return np.full((len(X), 2), np.nan)", ["scores that are not finite for 12 of 12 rows"]),
        (FITTED, "return np.zeros((3, 2))", ["probabilities of shape (3, 2)", "Mend the model"]),
        (FITTED, "time.sleep(60)", ["scoring took longer than 0.5 s"]),
        ("time.sleep(60)", "pass", ["training took longer than 0.5 s", "raise its 'timeout'"]),
    ],
    ids=["raises", "none", "unfitted", "predict", "nan", "shape", "endless-predict", "endless-fit"],
)
def test_a_model_that_misbehaves(shop: Project, body: str, predict: str, words: list[str]) -> None:
    code = FIT.format(body=body, predict=predict)
    limit = '"0.5s"' if "sleep" in body + predict else None
    shop.declare(code, model='{"fit": fit}', task='"binary"', timeout=limit)
    told = shop("run", "shop", "--from", LAST, "--train-at", TRAINED)
    text = shop.refused(told, 6, f"pipeline shop, partition {TRAINED}, model", *words)
    assert re.search(LINE, text) or "LogisticRegression" in text or "took longer" in text, text
    assert shop.verdicts("model") == {TRAINED: "trained"} and shop.decisions() == BEFORE
    assert LAST in shop.verdicts("labels")
    shop.sound()


def test_a_fit_function_that_changes_what_it_is_given_changes_nothing_else(shop: Project) -> None:
    spoils = (
        "train.X.drop(train.X.index, inplace=True); train.y[:] = 1; "
        "valid.X.drop(valid.X.index, inplace=True); valid.y[:] = 0; params.clear(); "
    )
    made = []
    for spoil in (spoils, ""):
        body = f"X, y = train.X.copy(), train.y.copy(); {spoil}return DummyClassifier(strategy='prior').fit(X, y)"
        shop.declare(FIT.format(body=body, predict="pass"), model='{"fit": fit}', task='"binary"')
        assert shop("run", "shop", "--from", LAST, "--train-at", TRAINED).code == 0
        made.append(shop.records("model")[TRAINED])
    assert made[0].outputs == made[1].outputs and made[0].id != made[1].id


RULE = """
import numpy as np
import time


def rule(X):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return X['size'].head(2)", ["one finite number a row (12 rows), got a Series of shape (2,)"]),
        ("time.sleep(60)", ["the baseline took longer than 0.5 s"]),
    ],
    ids=["short", "endless"],
)
def test_a_baseline_that_misbehaves(shop: Project, body: str, words: list[str]) -> None:
    shop.declare(RULE.format(body=body), baseline="rule", timeout='"0.5s"' if "sleep" in body else None)
    told = shop("run", "shop", "--from", LAST, "--train-at", TRAINED)
    text = shop.refused(told, 6, f"partition {TRAINED}, baseline", *words)
    assert re.search(LINE, text) and shop.decisions() == BEFORE
    shop.sound()


def test_debug_shows_the_traceback_and_its_absence_says_how(shop: Project) -> None:
    shop.declare(LOAD.format(body="raise ValueError('no rows')"), source=SOURCE)
    with pytest.raises(Exception, match="no rows") as raised:
        shop(*ONE, "--debug")
    assert raised.traceback and "load raised ValueError" in str(raised.value)
