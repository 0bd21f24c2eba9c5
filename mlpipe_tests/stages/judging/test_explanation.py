"""What the model goes by, beside the champion."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from mlpipe.errors import MlpipeError
from mlpipe.spec.probing import Explain
from mlpipe.stages.judging.explanation import probe
from mlpipe_tests.stages.judging.subjects import Says, subject_of
from mlpipe_tests.stores.models import bundle_of, logistic, people

LINEAR = {"task": "regression", "classes": (), "positive": None, "threshold": None}


def test_what_the_champion_goes_by_is_laid_beside():
    frame = people()[0]
    by_plan = bundle_of(Says(lambda f: 0.1 + 0.8 * (f["plan"] == "pro")), frame)
    found = probe(subject_of(logistic(), champion=by_plan, spec={"explain": Explain(repeats=3)}))
    first = found.facts["importance"][0]
    assert first["feature"] in ("visits", "age", "plan") and first["low"] < first["high"]
    assert [i["mean"] for i in found.facts["importance"]] == sorted(
        (i["mean"] for i in found.facts["importance"]), reverse=True
    )
    champion = found.facts["champion"]
    assert (
        -1 <= champion["rank_correlation"] < 1
        and champion["moved"][0]["place"] != champion["moved"][0]["was"]
    )
    assert "shap" not in found.facts
    assert probe(subject_of(logistic())).facts["champion"] is None


@pytest.mark.long
def test_shap_values_of_a_linear_model_are_weights_times_distances():
    pytest.importorskip("shap")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "c"])
    model = LinearRegression().fit(frame, 2 * frame["a"] - frame["b"])
    asked = Explain(method="shap", rows=40, shap_rows=40)
    found = probe(
        subject_of(bundle_of(model, frame, **LINEAR), frame, 2 * frame["a"], spec={"explain": asked})
    )
    expected = {
        n: (abs(w) * (frame[n] - frame[n].mean()).abs()).mean()
        for n, w in zip("abc", (2, -1, 0), strict=True)
    }
    assert {s["feature"]: s["mean"] for s in found.facts["shap"]} == pytest.approx(expected, abs=1e-9)
    assert [s["feature"] for s in found.facts["shap"]] == ["a", "b", "c"]
    assert len(found.report["shap_rows"]) == 20


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(MlpipeError, match="needs the package shap") as raised:
        probe(subject_of(logistic(), spec={"explain": Explain(method="shap", repeats=2)}))
    assert "mlpipe[explain]" in raised.value.fix
