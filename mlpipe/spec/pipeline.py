"""The frozen specification of one pipeline, and the checks that need more than one of its parts."""

from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mlpipe.core.metrics import DEFAULTS
from mlpipe.spec.alerts import Channels, LogChannel
from mlpipe.spec.calendar import DEFAULT_WINDOW, Calendar
from mlpipe.spec.folding import fold_problems, length_problems
from mlpipe.spec.judging import Costs, Fair, Gate, Locked, OwnMetrics, Sliced, Slices, gate_problems
from mlpipe.spec.levels import Levels, level_problems
from mlpipe.spec.measures import Measures
from mlpipe.spec.modeling import (
    Features,
    Label,
    Metrics,
    Model,
    Problem,
    Retrain,
    Retries,
    Split,
    TaskName,
    ThresholdRule,
    estimator_type,
)
from mlpipe.spec.nodes import (
    Duration,
    Float,
    Int,
    KeyPath,
    Name,
    Names,
    Node,
    choices,
    parse_duration,
    shown,
)
from mlpipe.spec.probing import (
    Behaviour,
    Explained,
    Golden,
    Leakage,
    Resources,
    Robustness,
    behaviour_problems,
)
from mlpipe.spec.recording import Recording, owned, tagged, unreported, wrong_tags
from mlpipe.spec.sources import AnySource, LoadSource, Source, UpstreamSource
from mlpipe.spec.watching import Monitor, watching_problems

Problems = Iterator[tuple[KeyPath, str]]
Deployment = Literal["dev", "stage", "prod"]
_MOST = 1_000_000
ANY = "*"
"""Any key or position, in a path that stands for many."""


def _window(value: object) -> object:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str, timedelta)):
        raise ValueError(f"must be a duration such as '90d', or a number of partitions; got {shown(value)}")
    window = value if isinstance(value, int) else parse_duration(value)
    if not window:
        raise ValueError("the training window must not be empty")
    if isinstance(window, int) and not 0 < window <= _MOST:
        raise ValueError(f"a number of partitions lies in [1, {_MOST:,}], got {shown(window)}")
    return window


class PipelineSpec(Node):
    """Everything that mlpipe knows about one pipeline before it sees data."""

    name: Name
    description: str = ""
    owners: Annotated[Names, AfterValidator(owned)] = Field(
        default=(), description="e-mail addresses, or teams such as 'team:growth'"
    )
    tags: Annotated[dict[str, str], AfterValidator(tagged)] = {}
    problem: Problem = Problem()
    partitions: Calendar
    sources: dict[Name, AnySource] = Field(min_length=1)
    label: Label
    prediction_time: str | None = Field(
        default=None, description="column with the moment of prediction; default: the event time"
    )
    lead: Duration = Field(
        default="0s", validate_default=True, description="the prediction is made this long before that moment"
    )
    features: Features
    model: Model
    task: TaskName | None = Field(default=None, description="default: from the model and the label")
    window: Annotated[timedelta | int | None, BeforeValidator(_window)] = Field(
        default=None, description="training window before a partition: a duration, or a number of partitions"
    )
    split: Split = Split()
    min_coverage: Float = Field(
        default=0.8, ge=0.0, le=1.0, description="least share of the window's partitions that must be good"
    )
    min_rows: Int = Field(default=50, ge=2, description="least number of labelled rows to learn from")
    threshold: ThresholdRule = "max_f1"
    metrics: Metrics = ()
    baseline: Callable[..., Any] | None = Field(
        default=None, description="the user's own rule: baseline(features) -> score"
    )
    own_metrics: OwnMetrics = Field(default=(), description="functions of your own, told beside the metrics")
    cost: Costs = Field(default=None, description="what errors cost: their mean is told as the metric 'cost'")
    gates: tuple[Gate, ...] = ()
    staging_gates: tuple[Gate, ...] = Field(default=(), description="what lets a version onto staging")
    slices: Sliced = Slices()
    fairness: Fair = Field(default=None, description="columns by whose groups the model must not differ")
    locked: Locked | None = Field(
        default=None, description="part of the test window that only releases look at"
    )
    behaviour: Behaviour = Field(default=(), description="tests of what the model answers")
    robustness: Robustness = Robustness()
    resources: Resources = Resources()
    leakage: Leakage = Leakage()
    golden: Golden | None = Field(default=None, description="fixed rows that every model is judged on")
    explain: Explained = Field(default=None, description="permutation or shap; default: not asked")
    min_tenure: Duration = Field(
        default="7d",
        validate_default=True,
        description="least time a champion stays before it is replaced automatically",
    )
    retrain: Retrain | None = Field(
        default=Retrain(), description="default: each month, and when watched columns drift; null: never"
    )
    monitor: Monitor = Monitor()
    levels: Levels = Field(default=Levels(), description="service levels of each day, and what a miss does")
    alerts: Channels = Field(default=(LogChannel(),), description="who hears of what; default: the log alone")
    record: Recording = Field(default=Recording(), description="what a team asks of every record")
    bootstrap: Int = Field(default=1000, ge=100, le=100_000, description="resamples behind each interval")
    blocks: str | None = Field(
        default=None, description="column whose values are resampled together; default: the day"
    )
    seed: Int = Field(default=0, ge=0, lt=2**31)
    store: str | None = None
    deployment: Deployment = "dev"
    automation: Literal["on", "off"] = "off"
    timeout: Duration | None = Field(default=None, description="longest time that one step may take")
    retries: Retries = Retries()
    pool: str | None = Field(default=None, description="Dagster pool of the training steps")
    base_dir: Path = Field(default=Path("."), description="folder that relative paths start from")
    where: str = ""

    @property
    def primary(self) -> str:
        """Name of the source whose rows are predicted: the first that is neither a side table nor the label's own."""
        return self._main[0]

    @property
    def _main(self) -> list[str]:
        return [n for n, s in self.sources.items() if s.join is None and n != self.label.source]

    @property
    def tables(self) -> dict[str, Source]:
        """Side tables, by name."""
        return {n: s for n, s in self.sources.items() if s.join is not None}

    @property
    def measures(self) -> Measures:
        """The metrics that it knows by name, and which of them is the primary one."""
        return Measures(self.metrics, self.own_metrics, self.cost)

    @property
    def training_window(self) -> timedelta | int:
        return self.window if self.window is not None else DEFAULT_WINDOW[self.partitions.every]

    @property
    def clustered_by(self) -> str | None:
        """Column whose values are resampled together: the declared one; of rows without partitions that of whole groups."""
        whole = self.partitions.every == "none" and self.split.kind == "grouped"
        return self.blocks if self.blocks is not None or not whole else self.split.by

    @property
    def known_task(self) -> tuple[str, ...] | None:
        """Tasks that are still possible before labels are seen; None when nothing is known."""
        return (self.task,) if self.task is not None else self._natural_tasks

    @property
    def _natural_tasks(self) -> tuple[str, ...] | None:
        kind = estimator_type(self.model.estimator)
        return {"classifier": ("binary", "multiclass"), "regressor": ("regression",)}.get(kind)

    def problems(self, tainted: Collection[KeyPath] = ()) -> Problems:
        """Mistakes that show only when parts are seen together: where, and the sentence.

        Parameters
        ----------
        tainted
            Paths that are known to be wrong and hold a stand-in. A check that reads one of them is left out, for what it found would be
            no more than a consequence.
        """
        joins, times, paths = ((("sources", ANY, key)) for key in ("join", "event_time", "path"))
        of_label, every, moment = ("label", "source"), ("partitions", "every"), ("prediction_time",)
        model: tuple[KeyPath, ...] = (("model", "estimator"), ("model", "fit"), ("task",))
        own: tuple[KeyPath, ...] = (("own_metrics",), ("cost",))
        checks: tuple[tuple[tuple[KeyPath, ...], Callable[[], Problems]], ...] = (
            ((joins, of_label), self._primary_problems),
            ((joins, times, paths, of_label, every, moment), self._time_problems),
            ((joins, times), self._table_problems),
            ((of_label, ("sources", ANY, "keys")), self._label_source_problems),
            ((("label", "column"), ("label", "outcomes"), ("features", "columns")), self._feature_problems),
            ((joins, of_label, ("label", "column"), ("label", "outcomes")), self._key_problems),
            (own, lambda: self.measures.unknown(self._metrics_asked())),
            ((*model, *own), lambda: self.measures.unfit(self._metrics_asked(), self.known_task)),
            (model, self._task_problems),
            (
                (("baseline",), ("slices",), ("fairness",), ("behaviour",), ("golden",)),
                self._gate_problems,
            ),
            (
                (("behaviour",), ("features", "columns")),
                lambda: behaviour_problems(self.behaviour, self.features.columns),
            ),
            (
                (("window",), ("split",), every),
                lambda: length_problems(self.split, self.training_window, self.partitions.every),
            ),
            (
                (("split",), ("label",), ("features", "columns"), every, joins, times, moment),
                self._fold_problems,
            ),
            (
                (("monitor",), ("slices",), ("levels",)),
                lambda: watching_problems(self.monitor, self.slices.by, self.levels),
            ),
            (
                (("levels",), ("baseline",), ("retrain",)),
                lambda: level_problems(self.levels, self.baseline is not None, self.retrain is not None),
            ),
            ((*model, *own, ("metrics",), ("tags",), ("record",)), self._record_problems),
        )
        for needs, check in checks:
            if not any(_related(n, t) for n in needs for t in tainted):
                yield from ((p, text) for p, text in check() if not any(p[: len(t)] == t for t in tainted))

    def _primary_problems(self) -> Problems:
        main = self._main
        if not main:
            yield ("sources",), "one source must hold the rows to predict: the first without 'join'"
        for other in main[1:]:
            yield (
                ("sources", other),
                f"only '{main[0]}' can be the primary source; give '{other}' a 'join' (its columns 'on')",
            )

    def _time_problems(self) -> Problems:
        if not self._main:
            return
        name = self.primary
        primary = self.sources[name]
        if self.partitions.every != "none" and primary.event_time is None and not _templated(primary):
            yield (
                ("sources", name),
                "a partitioned source needs 'event_time' (the column it is cut by), or '{partition}' in its path",
            )
        elif (
            self.prediction_time is None
            and primary.event_time is None
            and any(s.event_time for s in self.tables.values())
        ):
            yield (
                ("sources", name),
                "a join as of the moment of prediction needs 'event_time' or 'prediction_time'",
            )
        own = self.sources.get(self.label.source or name, primary)
        timeless = own.event_time is None and primary.event_time is None
        if (
            self.label.available_after
            and timeless
            and (self.partitions.every == "none" or _templated(primary))
        ):
            yield ("label", "available_after"), f"needs the 'event_time' of the primary source '{name}'"

    def _table_problems(self) -> Problems:
        for name, source in self.tables.items():
            assert source.join is not None
            if not source.join.on:
                yield (
                    ("sources", name, "join"),
                    "a side table needs the columns 'on' which it meets the primary source",
                )
            if source.event_time is None and source.join.tolerance is not None:
                yield ("sources", name, "join", "tolerance"), "a tolerance needs the table's 'event_time'"

    def _label_source_problems(self) -> Problems:
        name = self.label.source
        if name is None:
            return
        if name not in self.sources:
            yield ("label", "source"), f"unknown source {name!r}. {choices(name, list(self.sources))}"
        elif not self.sources[name].keys:
            yield (
                ("label", "source"),
                f"labels of source {name!r} are matched by its 'keys'; it declares none",
            )

    def _feature_problems(self) -> Problems:
        columns = self.features.columns
        for i, column in enumerate(columns):
            if column in columns[:i]:
                yield ("features", "columns", i), f"the feature {column!r} is named more than once"
            if column in (self.label.column, *self.label.outcomes):
                yield (
                    ("features", "columns", i),
                    f"{column!r} is the label or one of its outcomes, and so cannot be a feature",
                )
        named: list[tuple[KeyPath, str]] = [
            (("monitor", "watch", i), c) for i, c in enumerate(self.monitor.watch)
        ]
        named += [(("features", "calendar", i), c) for i, c in enumerate(self.features.calendar)]
        named += [(("features", "missing", c), c) for c in self.features.missing]
        for place, name in named if columns else ():
            if name not in columns:
                yield place, f"{name!r} is no feature. {choices(name, columns)}"

    def _key_problems(self) -> Problems:
        main = self._main[0] if self._main else ""
        for i, key in enumerate(self.sources[main].keys if main else ()):
            if key in (self.label.column, *self.label.outcomes):
                yield (
                    ("sources", main, "keys", i),
                    f"{key!r} is the label or one of its outcomes, which features never see, and so cannot be a key",
                )

    def _metrics_asked(self) -> list[tuple[KeyPath, str]]:
        """Everything that names a metric: where, and the name."""
        asked: list[tuple[KeyPath, str]] = [(("metrics", i), m) for i, m in enumerate(self.metrics)]
        for key, gates in (("gates", self.gates), ("staging_gates", self.staging_gates)):
            named = ((i, g.params.get("metric")) for i, g in enumerate(gates))
            asked += [((key, i, "params", "metric"), m) for i, m in named if isinstance(m, str)]
        required = enumerate(self.record.require.metrics)
        return asked + [(("record", "require", "metrics", i), m) for i, m in required]

    def _task_problems(self) -> Problems:
        natural = self._natural_tasks
        if self.model.fit is not None and self.task is None:
            yield ("task",), "a 'fit' function needs 'task': binary, multiclass or regression"
        if natural is not None and self.task is not None and self.task not in natural:
            name = type(self.model.estimator).__name__
            yield ("task",), f"{name} is not for {self.task}. Valid: {', '.join(natural)}."
        elif natural and "binary" in natural and not self.model.params:
            if not hasattr(self.model.estimator, "predict_proba"):
                name = type(self.model.estimator).__name__
                yield (
                    ("model",),
                    f"{name} has no predict_proba; wrap it in sklearn.calibration.CalibratedClassifierCV",
                )

    def _gate_problems(self) -> Problems:
        given: dict[str, object] = {
            "slices": self.slices.by,
            "fairness": self.fairness,
            "behaviour": self.behaviour,
            "golden": self.golden,
            "baseline": self.baseline,
        }
        declared = [name for name, value in given.items() if value]
        yield from gate_problems("gates", self.gates, declared)
        yield from gate_problems("staging_gates", self.staging_gates, declared)

    def _record_problems(self) -> Problems:
        asked, place = self.record.require, ("record", "require")
        task, measures = self.known_task, self.measures
        reported = [(*self.metrics, *measures.own)] if self.metrics else []
        for t in DEFAULTS if task is not None and not self.metrics else ():
            if t not in (task or ()):
                continue
            # A classifier may turn out to have two classes or more, and not every metric is for both.
            others = (m for m in asked.metrics if (f := measures.get(m)) is not None and t not in f.tasks)
            reported.append((*measures.told(t), *others))
        for i, name in unreported(asked.metrics, reported):
            if measures.get(name) is not None:
                yield (*place, "metrics", i), f"the metric {name!r} is required, and is not among 'metrics'"
        for where, text in wrong_tags(asked.names.tags, self.tags):
            yield ("tags", where.removeprefix("tag ")), text

    def _fold_problems(self) -> Problems:
        if not self._main:
            return
        main = self.sources[self.primary]
        timed = self.partitions.every != "none" or bool(main.event_time or self.prediction_time)
        known = (*main.keys, *self.features.columns) if self.features.columns else None
        yield from fold_problems(self.split, timed, known, (self.label.column, *self.label.outcomes))


def _related(one: KeyPath, other: KeyPath) -> bool:
    """Whether one of two paths leads to a part of what the other leads to."""
    return all(a == b or ANY in (a, b) for a, b in zip(one, other, strict=False))


def _templated(source: Source) -> bool:
    return isinstance(source, (LoadSource, UpstreamSource)) or getattr(source, "templated", False)
