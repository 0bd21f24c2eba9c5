"""What is learned, from what, how it is judged, and when it is learned again."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mlpipe.core.threshold import RULES, validate_rule
from mlpipe.spec.nodes import (
    Duration,
    Float,
    Int,
    KeyPath,
    Names,
    Node,
    Wrong,
    listed,
    shown,
    unknown_names,
)

TaskName = Literal["binary", "multiclass", "regression"]
FOLDS = 5
"""So many folds where a split does not say."""
Mechanism = Literal["mcar", "mar", "mnar"]
"""Why a value is missing: completely at random, at random given other features, or not at random. It says what takes its place."""


class Label(Node):
    """The truth about a row, and when it becomes known.

    A label is known at its row's event time plus `available_after`; before that it does not exist for any stage. A null is no label.
    """

    column: str | None = None
    function: Callable[..., Any] | None = Field(
        default=None, description="label(rows) -> Series, from one source's rows"
    )
    source: str | None = Field(
        default=None, description="source that holds the label, matched by its keys; default: the primary"
    )
    available_after: Duration = Field(default="0s", validate_default=True)
    horizon: Duration = Field(
        default="31d",
        validate_default=True,
        description="own source: how long after a row its label may still come",
    )
    outcomes: Names = Field(
        default=(), description="columns known only together with the label; features never see them"
    )
    positive: Any = Field(
        default=None, description="the positive class of a binary label; default: the greater of the two"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.column is None) == (self.function is None):
            raise ValueError("a label needs either 'column' or 'function'")
        return self

    @property
    def name(self) -> str:
        return self.column or "label"


class Features(Node):
    """Columns of the primary source (and ``table.column`` of joined side tables), or a function that makes them."""

    columns: Names = ()
    function: Callable[..., Any] | None = Field(
        default=None,
        description="features(frames, history) -> DataFrame, a row per row of the primary source",
    )
    look_back: Duration = Field(
        default="0s", validate_default=True, description="how far back `history` reaches"
    )
    calendar: Names = Field(
        default=(), description="features that only tell the date; left out of drift alarms"
    )
    missing: dict[str, Mechanism] = Field(
        default={},
        description="why a feature is missing, by name: mcar (at random), mar (as other features tell), mnar (for its own sake)",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.columns) == (self.function is not None):
            raise ValueError("features need either 'columns' or 'function'")
        return self


class Model(Node):
    """A scikit-learn estimator, or ``fit(train, valid, params, log) -> estimator``."""

    estimator: Any = None
    fit: Callable[..., Any] | None = None
    params: dict[str, Any] = {}
    preprocess: Literal["auto", "none"] = "auto"
    trusted: Names = Field(default=(), description="further types that a stored model may hold, by full name")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.estimator is None) == (self.fit is None):
            raise ValueError("a model needs either 'class' (in Python 'estimator') or 'fit'")
        if isinstance(self.estimator, type):
            raise ValueError(f"model {self.estimator.__name__} is a class; write {self.estimator.__name__}()")
        needed = ("fit", "predict", "get_params")
        if self.estimator is not None and not all(hasattr(self.estimator, n) for n in needed):
            raise ValueError(
                f"model {type(self.estimator).__name__} is no scikit-learn estimator: it needs fit, predict and get_params"
            )
        if self.estimator is not None and self.params:
            known = sorted(self.estimator.get_params(deep=True))
            wrong = unknown_names(self.params, known, type(self.estimator).__name__)
            if wrong:
                raise Wrong(*((("params", *path), text) for path, text in wrong))
        return self


SplitKind = Literal["temporal", "expanding", "rolling", "grouped", "stratified", "purged"]


class Split(Node):
    """The last `test` of the window judges, the `valid` before it chooses, the rest trains; every `kind` but the first cross-validates too.

    Folds are made of the rows before the test part. Without partitions a grouped or stratified split cuts all rows that way.
    """

    kind: SplitKind = Field(
        default="temporal",
        description="temporal: no folds; expanding, rolling: each fold tests what follows its training; grouped: no group in two"
        " folds; stratified: the same share of each class in all; purged: earlier and later rows train if their labels do not overlap",
    )
    folds: Int | None = Field(default=None, ge=2, le=50, description="how many folds; default: 5")
    by: str | None = Field(
        default=None,
        description="grouped: the key or feature whose values stay together; stratified: the one whose values are dealt out"
        " evenly, by default the label",
    )
    train: Duration | None = Field(
        default=None,
        description="rolling: how long each fold learns; default: half of what lies before the test",
    )
    valid: Duration | None = Field(default=None, description="default: 15% of the window")
    test: Duration | None = Field(default=None, description="default: 15% of the window")
    embargo: Duration = Field(
        default="0s",
        validate_default=True,
        description="gap left before valid and before test, and around the test of a fold in time",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        others: dict[str, tuple[str, ...]] = {
            "folds": ("expanding", "rolling", "grouped", "stratified", "purged"),
            "by": ("grouped", "stratified"),
            "train": ("rolling",),
        }
        wrong: list[tuple[KeyPath, str]] = [
            ((key,), f"a split of kind {self.kind} has no {key!r}; it goes with {', '.join(kinds)}")
            for key, kinds in others.items()
            if getattr(self, key) is not None and self.kind not in kinds
        ]
        if self.kind == "grouped" and self.by is None:
            wrong.append(
                (("by",), "a grouped split needs 'by': the key or feature whose values stay together")
            )
        if self.train is not None and not self.train:
            wrong.append((("train",), "a fold cannot learn from no time at all; give a duration above 0"))
        if wrong:
            raise Wrong(*wrong)
        return self

    @property
    def count(self) -> int:
        """How many folds are made; 0 where none are."""
        return 0 if self.kind == "temporal" else self.folds or FOLDS

    def to_plain(self) -> dict[str, Any]:
        """The split as it stands in recipes and records: what only makes folds is left out where there are none."""
        # So that a model is made again, and found again, by the recipe that it had before there were kinds.
        return self.model_dump(mode="json", include=None if self.count else {"valid", "test", "embargo"})


def _drift_limit(value: object) -> object:
    """A positive number, 'calibrated', or nothing."""
    if value is None or value == "calibrated":
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e300:
        raise ValueError(f"drift must be 'calibrated', a number above 0, or null; got {shown(value)}")
    return float(value)


class Worth(Node):
    """What a better model is worth and what a training costs, in one unit, such as that of ``cost``; see `mlpipe.core.worth`."""

    value: Float = Field(
        gt=0,
        description="worth of one whole unit of the primary metric (0.01 of ROC AUC: a hundredth) for one prediction",
    )
    training: Float = Field(ge=0, description="cost of one training")
    review: Duration = Field(
        default="28d", validate_default=True, description="the gain is counted until the next review: so long"
    )


class Budget(Node):
    """The most that trainings may take in a calendar month."""

    retrains: Int | None = Field(default=None, ge=0, description="how many trainings")
    minutes: Float | None = Field(default=None, gt=0, description="minutes of training and judging")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.retrains is None and self.minutes is None:
            raise ValueError("a budget needs 'retrains', 'minutes' or both")
        return self


class Retrain(Node):
    """When to learn again: a cadence, and triggers. See `mlpipe.core.policy`, which acts on it."""

    every: Literal["never", "day", "week", "month"] = Field(
        default="month", description="cadence by calendar; the first night of each"
    )
    drift: Annotated[Literal["calibrated"] | Float | None, BeforeValidator(_drift_limit)] = Field(
        default="calibrated",
        description="limit on the PSI of any watched column: a number, or each column's own from the training period",
    )
    drift_share: Float | None = Field(
        default=None, gt=0, le=1, description="limit on the share of drifted columns"
    )
    score_drift: Float | None = Field(default=None, gt=0, description="limit on the PSI of the score")
    performance: Float | None = Field(
        default=None, gt=0, description="limit on how far the realised primary metric is worse than evaluated"
    )
    levels: bool = Field(
        default=True, description="learn when a service level is missed whose response is 'retrain'"
    )
    on_new_data: bool = Field(
        default=False,
        description="learn when enough new data came, and when data learned from was corrected",
    )
    cool_down: Duration = Field(
        default="14d", validate_default=True, description="least time between two trainings by a trigger"
    )
    min_new_data: Duration = Field(
        default="7d", validate_default=True, description="least new data since the last training"
    )
    close: Float = Field(
        default=0.5, gt=0, le=1, description="a trigger that fired is over below this share of its limit"
    )
    pays: Worth | None = Field(
        default=None, description="learn when what a training is expected to win pays for it"
    )
    budget: Budget | None = Field(
        default=None, description="the most trainings, and minutes of them, in a month"
    )


class Problem(Node):
    """What the model is for; printed on the model card."""

    decision: str = ""
    cost_false_positive: str = ""
    cost_false_negative: str = ""
    intended_use: str = ""
    out_of_scope: str = ""


class Retries(Node):
    """How often a step is tried again after a fault that may pass. Back-off is exponential, with jitter."""

    times: Int = Field(default=3, ge=0, le=10)
    delay: Duration = Field(default="2s", validate_default=True)


def rule_error(rule: object) -> object:
    """Validator of a threshold rule; see `mlpipe.core.threshold.RULES`."""
    huge = isinstance(rule, int) and not abs(rule) < 2**64
    problem = f"a threshold must lie in [0, 1], got {shown(rule)}" if huge else validate_rule(rule)
    if problem:
        more = "" if "Valid:" in problem or "Did you mean" not in problem else f" Valid: {', '.join(RULES)}."
        raise ValueError(problem + more)
    return rule


ThresholdRule = Annotated[Any, BeforeValidator(rule_error)]
Metrics = Annotated[tuple[str, ...], BeforeValidator(listed)]
"""Names; which there are, the pipeline knows: `mlpipe.spec.measures`."""


def estimator_type(estimator: Any) -> str:
    """What scikit-learn calls an estimator: classifier, regressor or something else; empty where nothing is known."""
    if estimator is None:
        return ""
    declared = getattr(estimator, "_estimator_type", None)
    if isinstance(declared, str) or not hasattr(estimator, "__sklearn_tags__"):
        return str(declared or "")
    from sklearn.base import is_classifier, is_regressor

    return "classifier" if is_classifier(estimator) else "regressor" if is_regressor(estimator) else ""
