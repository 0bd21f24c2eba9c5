"""The frozen specification of one pipeline, and the checks that need more than one of its parts."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mlpipe.core.gates import GATES
from mlpipe.core.metrics import METRICS
from mlpipe.errors import did_you_mean
from mlpipe.spec.calendar import DEFAULT_WINDOW, Calendar
from mlpipe.spec.modeling import (
    Features,
    Gate,
    Label,
    Metrics,
    Model,
    Monitor,
    Problem,
    Retrain,
    Retries,
    Split,
    TaskName,
    ThresholdRule,
)
from mlpipe.spec.nodes import Duration, Name, Names, Node, parse_duration
from mlpipe.spec.sources import AnySource, Source, UpstreamSource

Problems = Iterator[tuple[tuple[str | int, ...], str]]


def _window(value: object) -> object:
    return value if isinstance(value, (int, timedelta)) or value is None else parse_duration(value)


class PipelineSpec(Node):
    """Everything that mlpipe knows about one pipeline before it sees data."""

    name: Name
    description: str = ""
    owners: Names = ()
    tags: dict[str, str] = {}
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
    min_coverage: float = Field(
        default=0.8, ge=0.0, le=1.0, description="least share of the window's partitions that must be good"
    )
    min_rows: int = Field(default=50, ge=2, description="least number of labelled rows to learn from")
    threshold: ThresholdRule = "max_f1"
    metrics: Metrics = ()
    baseline: Callable[..., Any] | None = Field(
        default=None, description="the user's own rule: baseline(features) -> score"
    )
    gates: tuple[Gate, ...] = ()
    min_tenure: Duration = Field(
        default="0s",
        validate_default=True,
        description="least time a champion stays before it is replaced automatically",
    )
    retrain: Retrain | None = None
    monitor: Monitor = Monitor()
    bootstrap: int = Field(default=1000, ge=100, le=100_000, description="resamples behind each interval")
    blocks: str | None = Field(
        default=None, description="column whose values are resampled together; default: the day"
    )
    seed: int = Field(default=0, ge=0, lt=2**31)
    store: str | None = None
    deployment: Name = "dev"
    automation: Literal["on", "off"] = "off"
    timeout: Duration | None = Field(default=None, description="longest time that one step may take")
    retries: Retries = Retries()
    pool: str | None = Field(default=None, description="Dagster pool of the training steps")
    base_dir: Path = Field(default=Path("."), description="folder that relative paths start from")
    where: str = ""

    @property
    def primary(self) -> str:
        """Name of the source whose rows are predicted: the first that is no side table."""
        return next(iter(n for n, s in self.sources.items() if s.join is None))

    @property
    def tables(self) -> dict[str, Source]:
        """Side tables, by name."""
        return {n: s for n, s in self.sources.items() if s.join is not None}

    @property
    def training_window(self) -> timedelta | int:
        return self.window if self.window is not None else DEFAULT_WINDOW[self.partitions.every]

    def problems(self) -> Problems:
        """Mistakes that show only when parts are seen together: where, and the sentence."""
        yield from self._source_problems()
        yield from self._label_problems()
        yield from self._judgement_problems()
        yield from self._training_problems()

    def _source_problems(self) -> Problems:
        main = [n for n, s in self.sources.items() if s.join is None and n != self.label.source]
        if not main:
            yield ("sources",), "one source must hold the rows to predict: the first without 'join'"
            return
        if len(main) > 1:
            text = f"only '{main[0]}' can be the primary source; give {', '.join(main[1:])} a 'join' (its columns 'on')"
            yield ("sources", main[1]), text
        primary = self.sources[main[0]]
        if self.partitions.every != "none" and primary.event_time is None and not _templated(primary):
            yield (
                ("sources", main[0]),
                "a partitioned source needs 'event_time' (the column it is cut by), or '{partition}' in its path",
            )
        for name, source in self.tables.items():
            assert source.join is not None
            if not source.join.on:
                yield (
                    ("sources", name, "join"),
                    "a side table needs the columns 'on' which it meets the primary source",
                )
            if source.event_time is None and source.join.tolerance is not None:
                yield ("sources", name, "join", "tolerance"), "a tolerance needs the table's 'event_time'"
        if (
            self.prediction_time is None
            and primary.event_time is None
            and any(s.event_time for s in self.tables.values())
        ):
            yield (
                ("sources", main[0]),
                "a join as of the moment of prediction needs 'event_time' or 'prediction_time'",
            )

    def _label_problems(self) -> Problems:
        label = self.label
        if label.source is not None and label.source not in self.sources:
            yield (
                ("label", "source"),
                f"unknown source {label.source!r}. {did_you_mean(label.source, list(self.sources))}",
            )
        elif label.source is not None and not self.sources[label.source].keys:
            yield (
                ("label", "source"),
                f"labels of source {label.source!r} are matched by its 'keys'; it declares none",
            )
        if label.available_after and self.sources[self.primary].event_time is None:
            yield ("label", "available_after"), "needs the 'event_time' of the primary source"
        hidden = {label.column, *label.outcomes}
        leaks = [c for c in self.features.columns if c in hidden]
        if leaks:
            yield (
                ("features",),
                f"{', '.join(leaks)} is the label or one of its outcomes, and so cannot be a feature",
            )

    def _judgement_problems(self) -> Problems:
        task = self.known_task
        if task is None:
            return
        for place, name in [
            *((("metrics", i), m) for i, m in enumerate(self.metrics)),
            *self._gate_metrics(),
        ]:
            metric = METRICS.get(name)
            if metric is not None and not any(t in metric.tasks for t in task):
                fitting = sorted(n for n, m in METRICS.items() if any(t in m.tasks for t in task))
                yield (
                    place,
                    f"metric {name!r} is not for a {' or '.join(task)} model. Valid: {', '.join(fitting)}.",
                )
        if (
            any(g.kind == "beats_baseline" and g.params.get("baseline") == "rule" for g in self.gates)
            and self.baseline is None
        ):
            yield (
                ("gates",),
                "a gate compares with the baseline 'rule', but the pipeline declares no 'baseline'",
            )

    def _gate_metrics(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for i, gate in enumerate(self.gates):
            if gate.kind in GATES and "metric" in gate.params:
                yield ("gates", i), str(gate.params["metric"])

    def _training_problems(self) -> Problems:
        window, split = self.training_window, self.split
        if isinstance(window, int) and window < 1:
            yield ("window",), "the training window must hold at least one partition"
        if isinstance(window, timedelta) and split.valid is not None and split.test is not None:
            if split.valid + split.test + 2 * split.embargo >= window:
                yield (
                    ("split",),
                    f"valid, test and embargo leave nothing of the window of {window} to train on",
                )
        if self.model.fit is not None and self.task is None:
            yield ("task",), "a 'fit' function needs 'task': binary, multiclass or regression"

    @property
    def known_task(self) -> tuple[str, ...] | None:
        """Tasks that are still possible before labels are seen; None when nothing is known."""
        if self.task is not None:
            return (self.task,)
        kind = getattr(self.model.estimator, "_estimator_type", None) or _estimator_type(self.model.estimator)
        return {"classifier": ("binary", "multiclass"), "regressor": ("regression",)}.get(kind or "")


def _estimator_type(estimator: Any) -> str | None:
    if estimator is None:
        return None
    from sklearn.base import is_classifier, is_regressor

    return "classifier" if is_classifier(estimator) else "regressor" if is_regressor(estimator) else None


def _templated(source: Source) -> bool:
    return (
        isinstance(source, UpstreamSource)
        or "{partition}" in getattr(source, "path", "")
        or source.__class__.__name__ == "LoadSource"
    )
