"""The metrics that a pipeline knows by name: those of mlpipe, its own functions, and what its errors cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlpipe.core.costs import cost
from mlpipe.core.metrics import DEFAULTS, METRICS, Metric, custom, wrong_name
from mlpipe.errors import NotFoundError
from mlpipe.spec.judging import Metric as Declared
from mlpipe.spec.nodes import KeyPath, choices

COST = "cost"
"""Name of the metric that the key `cost` makes."""


@dataclass(frozen=True)
class Measures:
    """What a pipeline measures its models by.

    Parameters
    ----------
    named
        Names under ``metrics``, in order; none stands for those of the task.
    declared
        Its own metrics as they are written, whether `named` or not.
    costs
        What errors cost; None where nothing is said.
    """

    named: tuple[str, ...]
    declared: tuple[Declared, ...] = ()
    costs: Mapping[Any, Any] | None = None

    @cached_property
    def own(self) -> dict[str, Metric]:
        """The pipeline's own metrics, by name: its functions, and what errors cost."""
        found = {m.name: custom(m.name, m.function, m.better, needs=m.needs) for m in self.declared}
        return found if self.costs is None else {**found, COST: cost(self.costs, COST)}

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """Functions of its own metrics: their code is part of the recipe of whatever they measure."""
        return tuple(m.function for m in self.declared)

    def to_plain(self) -> dict[str, Any]:
        """What is its own, as it stands in recipes: functions by name. Nothing where nothing is."""
        own = [{**m.model_dump(), "function": m.function.__qualname__} for m in self.declared]
        costs = {} if self.costs is None else {"cost": dict(self.costs)}
        return {**({"own_metrics": own} if own else {}), **costs}

    def get(self, name: str) -> Metric | None:
        """The metric of that name; None where there is none, as of a name on record that the pipeline no longer declares."""
        return self.own.get(name) or METRICS.get(name)

    def of(self, name: str) -> Metric:
        """The metric of that name.

        Raises
        ------
        NotFoundError
            There is none.
        """
        found = self.get(name)
        if found is None:
            what, _, fix = self.wrong(name).partition(". ")
            raise NotFoundError(what, fix=fix)
        return found

    def wrong(self, name: str) -> str:
        """What is wrong with the name of a metric, and the names that there are; empty where there is nothing."""
        if self.get(name) is not None:
            return ""
        if name == COST:
            return "the metric 'cost' is what the key 'cost' says, and the pipeline does not give it"
        text = str(wrong_name(name))
        known = f"unknown metric {name!r}. {choices(name, sorted({*self.own, *METRICS}))}"
        return text if text.startswith("metric ") else known

    def names(self, task: str) -> tuple[str, ...]:
        """Metrics to report of a model of this task; the first is the primary one, by which models are compared."""
        fitting = tuple(m for m in self.named if task in self.of(m).tasks)
        return fitting or tuple(DEFAULTS[task])  # type: ignore[index]

    def primary(self, task: str) -> Metric:
        """The metric by which models of this task are compared."""
        return self.of(self.names(task)[0])

    def told(self, task: str) -> tuple[str, ...]:
        """Those to report, and the pipeline's own beside them, where they fit the task."""
        beside = (n for n, m in self.own.items() if task in m.tasks)
        return tuple(dict.fromkeys((*self.names(task), *beside)))

    def unknown(self, asked: Sequence[tuple[KeyPath, str]]) -> Iterator[tuple[KeyPath, str]]:
        """Where something `asked` is no metric: the place, and the sentence."""
        yield from ((place, wrong) for place, name in asked if (wrong := self.wrong(name)))
        if self.costs is not None and any(m.name == COST for m in self.declared):
            yield (COST,), f"it is told as the metric {COST!r}, and a metric of your own has that name"

    def unfit(
        self, asked: Sequence[tuple[KeyPath, str]], task: Sequence[str] | None
    ) -> Iterator[tuple[KeyPath, str]]:
        """Where a metric is for none of the tasks that are possible; None: nothing is known of these."""
        known = {**METRICS, **self.own}
        fitting = sorted(n for n, m in known.items() if any(t in m.tasks for t in task or ()))
        for place, name in asked if task is not None else ():
            metric = self.get(name)
            if metric is not None and not any(t in metric.tasks for t in task or ()):
                text = f"metric {name!r} is not for a {' or '.join(task or ())} model."
                yield place, f"{text} {choices(name, fitting)}"
