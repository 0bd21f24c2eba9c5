"""The smoke test on good pipelines and bad ones: every check is seen to fail, and none of them brings down the others."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import FunctionTransformer

import mlpipe as ml
from mlpipe.errors import SourceError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.proving import losses
from mlpipe.stages.smoke import failure, smoke
from mlpipe.stages.trial import Check
from mlpipe_tests.stages.pipelines import day, days, rows, spec_of, written

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NAMES = [
    "sources",
    "contract",
    "labels",
    "features",
    "training",
    "baseline",
    "loss curve",
    "predictions",
    "bundle",
    "malformed rows",
    "repeated",
]
HERE = "mlpipe_tests.stages.test_smoke"


def looked(spec: PipelineSpec, sample: int = 400, **settings: Any) -> dict[str, Check]:
    """The checks, by name: all of them, in order."""
    checks = smoke(spec, NOW, lambda: datetime.now(UTC), rows=sample, **settings)
    assert [c.name for c in checks] == NAMES
    assert all(c.answer.sentence and c.seconds >= 0 for c in checks)
    return {c.name: c for c in checks}


def daily(folder: Path, changes: Mapping[str, Any] | None = None, **settings: Any) -> PipelineSpec:
    """Nine days of sixty rows: the last learns from the eight before it."""
    given = {"window": "8d", "split": ml.Split(valid="1d", test="2d"), **settings}
    return spec_of(written(folder, days(9), **(changes or {})), **given)


def whole(folder: Path, frame: pd.DataFrame | None = None, **settings: Any) -> PipelineSpec:
    """A pipeline without partitions on one file of 600 rows."""
    (rows(day(0), 600) if frame is None else frame).to_parquet(folder / "rows.parquet")
    given: dict[str, Any] = {
        "source": ml.Parquet("rows.parquet", keys=["user"]),
        "partitions": ml.unpartitioned(),
        "window": None,
        "split": ml.Split(),
        **settings,
    }
    return spec_of(folder, **given)


def statuses(checks: Mapping[str, Check], *names: str) -> set[str]:
    return {checks[n].answer.status for n in names or NAMES}


def failed(check: Check, *words: str) -> None:
    text = "\n".join([check.answer.sentence, *check.answer.findings])
    assert check.answer.status == "failed", text
    assert all(w in text for w in words), text


def skipped(checks: Mapping[str, Check], *names: str) -> None:
    for name in names:
        assert checks[name].answer.status == "not applicable", checks[name].answer
        assert checks[name].answer.sentence


# -- good ones ----------------------------------------------------------------------------------------------------


def test_a_good_pipeline_is_good_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    told: list[str] = []
    spec = daily(tmp_path / "data", store=str(tmp_path / "store"))
    checks = looked(spec, tell=told.append)
    assert statuses(checks, *(n for n in NAMES if n != "loss curve")) == {"ok"}
    skipped(checks, "loss curve")
    assert told == NAMES
    assert "480 rows of rows: 8 partitions from 2024-01-01 to 2024-01-08" in checks["sources"].answer.sentence
    assert "8 of 8 partitions keep it" in checks["contract"].answer.sentence
    assert "480 of 480 rows have one, of 2 different values" in checks["labels"].answer.sentence
    assert "drawn with the seed, gave 3 features with 0.0% nulls" in checks["features"].answer.sentence
    assert "binary model learned from" in checks["training"].answer.sentence
    assert "and 0.5 for the best constant answer" in checks["baseline"].answer.sentence
    assert checks["bundle"].answer.sentence.split()[0] == checks["repeated"].answer.sentence.split()[-2]
    assert not (tmp_path / "store").exists()
    leftovers = [p.name for p in (tmp_path / "tmp").iterdir()]
    assert not [n for n in leftovers if n.startswith("mlpipe")], leftovers
    assert [c.answer for c in looked(spec).values()] == [c.answer for c in checks.values()]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_task_is_tried_also_without_partitions(tmp_path: Path, task: str) -> None:
    frame = rows(day(0), 600)
    settings: dict[str, Any] = {"features": ["hours", "plays", "city"]}
    if task == "multiclass":
        frame["grade"] = np.select([frame["hours"] < 3, frame["hours"] < 7], ["low", "middle"], "high")
        settings["label"] = "grade"
    elif task == "regression":
        frame["cost"] = frame["hours"] * 3 + frame["plays"]
        settings |= {"label": "cost", "model": LinearRegression(), "metrics": ["rmse"]}
    checks = looked(whole(tmp_path, frame, **settings))
    assert statuses(checks) <= {"ok", "not applicable"} and checks["baseline"].answer.status == "ok"
    assert f"{task} model" in checks["training"].answer.sentence


@pytest.mark.parametrize(
    ("model", "curve"),
    [
        (HistGradientBoostingClassifier(max_iter=20, early_stopping=True), "training loss falls from"),
        (GradientBoostingClassifier(n_estimators=20), "training loss falls from"),
        (MLPClassifier((8,), max_iter=30, learning_rate_init=0.02), "loss_curve falls from"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_curves_that_estimators_keep_are_read_the_right_way_round(
    tmp_path: Path, model: Any, curve: str
) -> None:
    checks = looked(whole(tmp_path, model=model))
    assert checks["loss curve"].answer.status == "ok" and curve in checks["loss curve"].answer.sentence


# -- bad data -----------------------------------------------------------------------------------------------------


def test_a_source_that_is_not_there_is_the_first_thing_said_and_the_rest_does_not_apply(
    tmp_path: Path,
) -> None:
    checks = looked(spec_of(tmp_path / "nowhere", source=ml.CSV("rows.csv", event_time="at")))
    failed(checks["sources"], "there is no file", "rows.csv")
    skipped(checks, *NAMES[1:])
    assert isinstance(failure(list(checks.values())), SourceError)


def test_one_partition_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    spec = daily(tmp_path)
    (tmp_path / f"{day(2)}.parquet").write_bytes(b"PAR1 and then nothing")
    checks = looked(spec)
    failed(checks["sources"], day(2), "cannot be read as Parquet")
    assert isinstance(failure(list(checks.values())), SourceError)
    assert "7 of 7 partitions keep it" in checks["contract"].answer.sentence
    assert statuses(checks, "training", "baseline", "bundle", "repeated") == {"ok"}


def test_a_source_without_rows_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    source = ml.Load(lambda window: rows(day(0), 0), event_time="at", keys=["user"])
    checks = looked(spec_of(tmp_path, source=source, window="5d", split=ml.Split(valid="1d", test="1d")))
    failed(checks["sources"], "gives no row for 5 partitions from 2029-12-26 to 2029-12-30", "'start'")
    assert isinstance(failure(list(checks.values())), SourceError)


def test_a_single_partition_has_none_before_it_to_learn_from(tmp_path: Path) -> None:
    spec = spec_of(written(tmp_path, days(1)), partitions=ml.daily(start=day(0), end=day(1)))
    checks = looked(spec)
    failed(checks["sources"], f"before {day(0)} there is no partition with data", "smaller partitions")
    skipped(checks, *NAMES[1:])
    # Where the calendar goes on, the next partition learns from it.
    assert "60 rows of rows" in looked(spec_of(tmp_path))["sources"].answer.sentence


def test_rows_of_another_asset_are_not_read_without_dagster_and_are_with_a_reader(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        source=ml.Upstream("shop/rows", event_time="at", keys=["user"]),
        partitions=ml.daily(start=day(0), end=day(8)),
        window="6d",
        split=ml.Split(valid="1d", test="1d"),
    )
    checks = looked(spec)
    skipped(checks, *NAMES)
    assert "asset shop/rows" in checks["sources"].answer.sentence
    checks = looked(spec, upstream={"rows": rows})
    assert statuses(checks) == {"ok", "not applicable"} and checks["training"].answer.status == "ok"


def test_a_contract_that_no_partition_keeps_fails_with_its_findings(tmp_path: Path) -> None:
    spec = daily(
        tmp_path,
        source=ml.Parquet(
            "{partition}.parquet", event_time="at", keys=["user"], contract=ml.Contract(min_rows=1000)
        ),
    )
    checks = looked(spec)
    failed(checks["contract"], "0 of 8", "60 rows, at least 1000 are wanted", "min_coverage")
    skipped(checks, *NAMES[2:])
    assert failure(list(checks.values())) is None


def test_one_bad_partition_is_a_warning_and_too_many_are_a_failure(tmp_path: Path) -> None:
    contract = ml.Contract(columns={"plays": ml.Column("int", min=0)})
    source = ml.Parquet("{partition}.parquet", event_time="at", keys=["user"], contract=contract)

    def spoilt(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(plays=-1)

    checks = looked(daily(tmp_path / "one", {"d3": spoilt}, source=source))
    answer = checks["contract"].answer
    assert answer.status == "warning" and "7 of 8 partitions keep it, 60 rows" in answer.sentence
    assert answer.findings[0].startswith(f"{day(3)}: source rows") and "plays" in answer.findings[0]
    assert checks["training"].answer.status == "ok"
    checks = looked(daily(tmp_path / "two", {"d3": spoilt, "d4": spoilt}, source=source))
    failed(checks["contract"], "6 of 8", "uses 75% of its window, and 80% are asked")
    assert checks["training"].answer.status == "ok"


@pytest.mark.parametrize(
    ("label", "status", "words"),
    [
        ([None] * 600, "failed", "none of 600 rows has a label that is known"),
        ([1.0] * 600, "failed", "600 of 600 rows have one, and all are 1: there is nothing to learn"),
        ([1.0, 0.0] * 150 + [None] * 300, "ok", "300 of 600 rows have one"),
        ([1.0, 0.0] * 140 + [None] * 320, "warning", "280 of 600 rows have one"),
    ],
)
def test_labels_are_counted(tmp_path: Path, label: Sequence[Any], status: str, words: str) -> None:
    checks = looked(whole(tmp_path, rows(day(0), 600).assign(churned=pd.array(label, dtype="Float64"))))
    answer = checks["labels"].answer
    assert answer.status == status and words in answer.sentence
    if status == "failed":
        failed(checks["training"], "no model") if label[0] else skipped(checks, "training")
        # More of the same would not help.
        assert not any("--rows" in f for f in checks["training"].answer.findings)
        skipped(checks, *NAMES[5:])
        assert checks["features"].answer.status == "ok"


def test_features_that_tell_nothing_are_named(tmp_path: Path) -> None:
    frame = rows(day(0), 600).assign(plays=3, city=None)
    checks = looked(whole(tmp_path, frame))
    answer = checks["features"].answer
    assert answer.status == "warning" and "2 tell nothing apart" in answer.sentence
    assert set(answer.findings) == {"plays is 3 in every row", "city is null in every row"}
    assert checks["training"].answer.status == "ok"


def test_rows_that_are_lost_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlpipe.stages import feature

    honest = feature.featurise
    monkeypatch.setattr(
        feature, "featurise", lambda *given: (lambda made: (made[0].iloc[1:], made[1]))(honest(*given))
    )
    failed(looked(whole(tmp_path))["features"], "rows went in", "came out")


def test_a_feature_function_that_raises_is_told_with_its_line(tmp_path: Path) -> None:
    def features(frames: Any, history: Any) -> Any:
        return frames["rows"][["no_such_column"]]

    checks = looked(whole(tmp_path, features=features))
    failed(checks["features"], "KeyError", f"{__file__}:{features.__code__.co_firstlineno + 1}")
    skipped(checks, *NAMES[4:])
    assert statuses(checks, "sources", "contract", "labels") == {"ok"}


# -- bad models ---------------------------------------------------------------------------------------------------


class Own(ClassifierMixin, BaseEstimator):
    """Says by the feature `hours` who leaves; the classes below spoil that."""

    def fit(self, X: pd.DataFrame, y: Any) -> "Own":
        self.classes_ = np.unique(y)
        self.middle_ = float(X["hours"].median())
        return self

    def scores(self, X: pd.DataFrame) -> Any:
        return 1 / (1 + np.exp((X["hours"] - self.middle_).to_numpy()))

    def predict_proba(self, X: pd.DataFrame) -> Any:
        p = self.scores(X)
        return np.stack([1 - p, p], axis=1)

    def predict(self, X: pd.DataFrame) -> Any:
        return self.classes_[(self.scores(X) >= 0.5).astype(int)]


class Inverted(Own):
    def scores(self, X: pd.DataFrame) -> Any:
        return 1 - super().scores(X)


class Constant(Own):
    def scores(self, X: pd.DataFrame) -> Any:
        return np.full(len(X), 0.3)


class Holed(Own):
    """Has no answer for a city."""

    def scores(self, X: pd.DataFrame) -> Any:
        return np.where(X["city"] == "Rome", np.nan, super().scores(X))


class Odds(Own):
    def predict_proba(self, X: pd.DataFrame) -> Any:
        return super().predict_proba(X) * 7


class Clumsy(Own):
    """Falls over a value instead of refusing it."""

    def scores(self, X: pd.DataFrame) -> Any:
        if np.isinf(X["hours"]).any():
            raise KeyError("inf")
        return super().scores(X)


class Batchy(Own):
    """Answers a row by those that come with it."""

    def scores(self, X: pd.DataFrame) -> Any:
        return (X["hours"].rank(ascending=False) / (len(X) + 1) * X.index[-1] / (X.index[-1] + 1)).to_numpy()


class Shaky(Own):
    """Draws without a seed."""

    def fit(self, X: pd.DataFrame, y: Any) -> "Shaky":
        super().fit(X, y)
        self.middle_ += float(np.random.default_rng().normal())
        return self


class Clocked(Own):
    """Keeps when it learned."""

    def fit(self, X: pd.DataFrame, y: Any) -> "Clocked":
        super().fit(X, y)
        self.at_ = time.time_ns()
        return self


def own(folder: Path, kind: type, frame: pd.DataFrame | None = None, **settings: Any) -> PipelineSpec:
    """A pipeline with a class of the user's own, as it is."""
    model = {"estimator": kind(), "preprocess": "none", "trusted": [f"{HERE}.{kind.__name__}"]}
    return whole(folder, frame, model=model, **settings)


def test_a_class_of_the_users_own_passes(tmp_path: Path) -> None:
    assert statuses(looked(own(tmp_path, Own))) == {"ok", "not applicable"}


@pytest.mark.parametrize(("kind", "shown"), [(Inverted, "roc_auc is 0.1"), (Constant, "roc_auc is 0.5 ")])
def test_a_model_that_is_no_better_than_a_constant_fails(tmp_path: Path, kind: type, shown: str) -> None:
    checks = looked(own(tmp_path, kind))
    failed(
        checks["baseline"], shown, "and 0.5 for the best constant answer: the model is not better", "--rows"
    )
    assert checks["predictions"].answer.status == ("warning" if kind is Constant else "ok")


def test_too_few_rows_to_judge_on_are_said_and_are_no_failure(tmp_path: Path) -> None:
    checks = looked(own(tmp_path, Inverted), sample=150)
    skipped(checks, "baseline")
    text = checks["baseline"].answer.sentence
    assert "rows are held out, too little to tell; roc_auc is 0." in text
    frame = rows(day(0), 600)
    frame["churned"] = ([1] * 20 + [0] * 580) if "churned" in frame else None
    checks = looked(own(tmp_path, Own, frame.sample(frac=1.0, random_state=1)), sample=600)
    skipped(checks, "baseline")
    assert "of all classes but one" in checks["baseline"].answer.sentence


def logging(values: Sequence[float], name: str = "loss") -> Any:
    def fit(train: Any, valid: Any, params: Any, log: Any) -> Any:
        for step, value in enumerate(values):
            log(step, **{name: value, "val_loss": 9.0 + step, "rate": 0.1})
        return LogisticRegression().fit(train.X[["hours"]], train.y)

    return fit


@pytest.mark.parametrize(
    ("values", "name", "status", "words"),
    [
        ([0.9, 0.7, 0.5, 0.4], "loss", "ok", "loss falls from 0.9 to 0.4 in 4 steps"),
        ([0.4, 0.5, 0.7], "loss", "failed", "loss rises from 0.4 to 0.7 in 3 steps"),
        ([0.4, float("nan"), 0.1], "loss", "failed", "loss is not finite from value 2 of 3 on"),
        ([0.9, 0.1], "loss", "not applicable", "loss has 2 values, too few to tell"),
        ([0.9, 0.7, 0.5], "Train-MSE", "ok", "Train-MSE falls"),
        # Where the training's own is not logged, that of the rows that choose counts.
        ([1, 2, 3], "accuracy", "failed", "val_loss rises from 9 to 11"),
    ],
)
def test_the_loss_must_fall(
    tmp_path: Path, values: Sequence[float], name: str, status: str, words: str
) -> None:
    model = {"fit": logging(values, name), "preprocess": "none"}
    checks = looked(whole(tmp_path, model=model, task="binary", features=["hours"]))
    answer = checks["loss curve"].answer
    assert answer.status == status and words in answer.sentence and checks["training"].answer.status == "ok"


def test_what_is_logged_and_is_no_loss_is_named() -> None:
    points = [{"step": 0.0, "accuracy": 0.3}, {"step": 1.0, "rate": 0.1, "accuracy": None}]
    assert losses({"log": points, "validation_scores": [{"step": 0.0, "value": 1.0}]}, None) == {}
    found = losses({"log": [{"step": 0.0, "loss": 1.0}, {"step": 1.0, "loss": None}]}, None)
    assert list(found) == ["loss"] and found["loss"][0] == 1.0 and np.isnan(found["loss"][1])


def test_scores_that_are_not_finite_fail(tmp_path: Path) -> None:
    # A city that only rows to learn from have: training and judging go well.
    frame = rows(day(0), 600).assign(city="Bonn")
    frame = frame.sort_values("at").reset_index(drop=True)
    frame.loc[:40, "city"] = "Rome"
    source = ml.Parquet("rows.parquet", event_time="at", keys=["user"])
    checks = looked(own(tmp_path, Holed, frame, source=source), sample=600)
    failed(checks["predictions"], "not finite for 41 of 600 rows")
    assert statuses(checks, "training", "baseline") == {"ok"}
    checks = looked(own(tmp_path, Holed, frame.assign(city="Rome"), source=source))
    failed(checks["training"], "scores that are not finite")
    skipped(checks, *NAMES[5:])


def test_probabilities_beyond_one_fail(tmp_path: Path) -> None:
    failed(looked(own(tmp_path, Odds))["predictions"], "no probabilities")


def test_a_class_that_is_not_trusted_cannot_be_stored_and_all_else_is_still_looked_at(tmp_path: Path) -> None:
    model = {"estimator": Own(), "preprocess": "none"}
    checks = looked(whole(tmp_path, model=model))
    failed(checks["bundle"], "types that are not trusted", f"trusted=['{HERE}.Own']")
    assert statuses(checks, "training", "predictions", "malformed rows", "repeated") == {"ok"}
    assert "neither could be stored" in checks["repeated"].answer.sentence
    skipped(checks, "baseline", "loss curve")


def test_a_class_that_cannot_be_found_again_fails(tmp_path: Path) -> None:
    class Hidden(Own):
        pass

    def fit(train: Any, valid: Any, params: Any, log: Any) -> Any:
        return Hidden().fit(train.X, train.y)

    name = f"{HERE}.{Hidden.__qualname__}"
    checks = looked(whole(tmp_path, model={"fit": fit, "trusted": [name, f"{HERE}.Hidden"]}, task="binary"))
    assert checks["training"].answer.status == "ok"
    failed(checks["bundle"], "Hidden")


def test_a_model_that_loads_and_scores_otherwise_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlpipe.stores.store import Store

    honest = Store.get_bundle

    def spoilt(self: Store, object_id: str, trusted: Any = ()) -> Any:
        bundle = honest(self, object_id, trusted)
        bundle.estimator.steps[-1][1].intercept_ += 1.0
        return bundle

    monkeypatch.setattr(Store, "get_bundle", spoilt)
    failed(looked(whole(tmp_path))["bundle"], "is loaded again, and its scores differ by up to 0.")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Clumsy, ["infinities: ", "test_smoke.py", "KeyError"]),
        (Batchy, ["a single row", "other scores"]),
    ],
)
def test_malformed_rows_must_be_answered_or_refused(tmp_path: Path, kind: type, words: list[str]) -> None:
    checks = looked(own(tmp_path, kind))
    failed(checks["malformed rows"], *words)
    assert statuses(checks, "training", "bundle") == {"ok"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Shaky, ["another model: scores differ by up to 0.", "threshold was", "random_state"]),
        (Clocked, ["scores the same, and holds something that changes"]),
    ],
)
def test_a_second_training_must_give_the_same(tmp_path: Path, kind: type, words: list[str]) -> None:
    failed(looked(own(tmp_path, kind))["repeated"], *words)


def test_a_fit_without_a_seed_fails_and_one_that_is_stored_nowhere_too(tmp_path: Path) -> None:
    def fit(train: Any, valid: Any, params: Any, log: Any) -> Any:
        return RandomForestClassifier(5, max_depth=3).fit(train.X[["hours"]], train.y)

    spec = whole(tmp_path, model={"fit": fit}, task="binary", features=["hours"])
    failed(looked(spec)["repeated"], "a second training gave another model")
    spec = whole(tmp_path, model={"estimator": Shaky(), "preprocess": "none"})
    failed(looked(spec)["repeated"], "scores differ by up to")


def test_a_fit_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(train: Any, valid: Any, params: Any, log: Any) -> Any:
        while True:
            time.sleep(0.01)

    checks = looked(whole(tmp_path, model={"fit": fit}, task="binary", timeout="0.3s"))
    failed(checks["training"], "took longer than 0.3 s")
    from datetime import timedelta

    monkeypatch.setattr("mlpipe.stages.smoke.LIMIT", timedelta(seconds=0.4))
    checks = looked(whole(tmp_path, model={"fit": fit}, task="binary"))
    failed(checks["training"], "took longer than 0.4 s")


def test_a_window_that_is_too_thin_for_the_real_training_fails(tmp_path: Path) -> None:
    checks = looked(whole(tmp_path, min_rows=5000), sample=1000)
    failed(checks["training"], "no model: the train part holds", "at least 5000 are needed")
    checks = looked(daily(tmp_path / "daily", min_rows=5000), sample=200)
    failed(checks["training"], "a window holds about 480 labelled rows, and 5,000 are asked (min_rows)")
    assert checks["baseline"].answer.status == "ok"
    checks = looked(daily(tmp_path / "few", min_rows=200), sample=60)
    assert checks["training"].answer.status == "ok"
    checks = looked(whole(tmp_path), sample=1)
    failed(checks["training"], "no model: the train part holds 0", "The sample has 1 row: --rows takes more.")


def test_an_error_that_nobody_foresaw_is_an_answer_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("mlpipe.stages.proving.put_before", broken)
    checks = looked(whole(tmp_path))
    failed(checks["malformed rows"], "ZeroDivisionError: division by zero", "--debug shows the traceback")
    assert checks["repeated"].answer.status == "ok"


def shifted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def test_functions_within_a_model_are_tried_as_they_are(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline

    model = {
        "estimator": make_pipeline(FunctionTransformer(shifted), LogisticRegression()),
        "trusted": [f"{HERE}.shifted"],
    }
    checks = looked(whole(tmp_path, model=model, features=["hours", "plays"]))
    assert statuses(checks) == {"ok", "not applicable"}


def test_partitions_without_rows_are_told_apart_from_those_that_break_their_contract(tmp_path: Path) -> None:
    def quiet(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.iloc[:0]

    answer = looked(daily(tmp_path, {"d3": quiet}))["contract"].answer
    assert (
        answer.status == "warning" and "7 of 8 partitions keep it, 1 holds no row, 0 rows" in answer.sentence
    )
