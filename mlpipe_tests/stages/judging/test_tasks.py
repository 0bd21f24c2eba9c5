"""Every probe on every task: what it finds is small, is JSON, and is the same again."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlpipe.spec.probing import BehaviourTest, Explain
from mlpipe.stages.judging import PROBES, probed
from mlpipe_tests.stages.judging.subjects import subject_of
from mlpipe_tests.stores.models import bundle_of

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(240, 3)), columns=["a", "b", "c"])
SIZE = 2 * FRAME["a"] + 0.8 * RNG.normal(size=240)
BAND = np.digitize(SIZE, [-1, 1])
TRUTH = {"binary": (SIZE > 0).astype(int), "multiclass": BAND, "regression": SIZE}


def subject(task, **changes):
    y = TRUTH[task]
    if task == "regression":
        bundle = bundle_of(
            LinearRegression().fit(FRAME, y), FRAME, task=task, classes=(), positive=None, threshold=None
        )
    else:
        classes = (0, 1) if task == "binary" else (0, 1, 2)
        more = {} if task == "binary" else {"positive": None, "threshold": None}
        bundle = bundle_of(LogisticRegression().fit(FRAME, y), FRAME, task=task, classes=classes, **more)
    up = {"name": "up", "test": "directional", "change": {"a": "+1"}, "expect": "up"}
    up |= {"of": 2} if task == "multiclass" else {}
    tests = [
        BehaviourTest(**up),
        BehaviourTest(name="noise", test="invariance", change={"c": "+0.001"}, tolerance=0.05),
    ]
    spec = {"behaviour": tests, "explain": Explain(repeats=2, rows=100)}
    names = ("accuracy",) if task == "multiclass" else ("rmse",) if task == "regression" else ("roc_auc",)
    given = {"spec": spec, "names": names, "training": (FRAME.head(60), None), "champion": bundle, **changes}
    made = subject_of(bundle, FRAME, y, **given)
    # The stage hands over the truth as floating point numbers.
    object.__setattr__(made, "y", made.y.astype("float64"))
    return made


@pytest.mark.parametrize("task", TRUTH)
def test_all_tasks_are_probed(task):
    names = ["behaviour", "robustness", "leakage", "explanation"]
    found = probed(subject(task), names)
    assert list(found) == names
    for name, one in found.items():
        assert len(json.dumps(one.facts, allow_nan=False)) < 4000, name
        json.dumps(one.report, allow_nan=False)
    assert found["behaviour"].facts["failures"] == found["behaviour"].facts["untested"] == 0
    assert found["robustness"].facts["crashes"] == 0
    told = {f["feature"]: f["alone"] for f in found["leakage"].facts["features"]}
    assert told["a"] > 0.85 and max(told["b"], told["c"]) < (0.3 if task == "regression" else 0.7)
    assert found["leakage"].facts["suspects"] == [] and found["leakage"].facts["model"] > 0.85
    assert found["explanation"].facts["importance"][0]["feature"] == "a"
    assert found["explanation"].facts["champion"] == {"rank_correlation": 1.0, "moved": []}
    assert probed(subject(task), names) == found


def test_a_single_class_leaves_nothing_to_tell():
    none = subject("binary")
    object.__setattr__(none, "y", np.zeros(240))
    found = probed(none, ["leakage"])["leakage"].facts
    assert {f["alone"] for f in found["features"]} == {None} and found["suspects"] == []


def test_only_what_is_asked_for_is_probed_and_names_are_checked():
    assert probed(subject("binary"), []) == {}
    with pytest.raises(KeyError, match="fairnes"):
        probed(subject("binary"), ["fairnes"])
    assert {"behaviour", "golden", "reproduction", "resources"} <= {*PROBES}
