"""How production is watched."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mlpipe.spec.levels import Level, Levels, Reader
from mlpipe.spec.nodes import Float, Int, KeyPath, Name, Names, Node, choices


class Alarms(Node):
    """When drift is worth an alarm; see `mlpipe.core.alarming.Rule`."""

    rate: Float = Field(
        default=0.05, gt=0, le=1, description="share of false discoveries among a day's columns; 1: no test"
    )
    days: Int = Field(default=2, ge=1, description="so many days over the limit open an alarm …")
    of: Int = Field(default=3, ge=1, description="… of the last so many, and as many calm ones close it")
    close: Float = Field(default=0.8, gt=0, le=1, description="a day is calm below this share of the limit")
    new_nulls: Float = Field(default=0.05, gt=0, le=1, description="limit of the rise of the share of nulls")
    unseen: Float = Field(default=0.05, gt=0, le=1, description="limit of the share of unseen categories")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.days > self.of:
            raise ValueError(f"{self.days} days of the last {self.of} cannot be over; give 'days' <= 'of'")
        return self


def _readers(value: object) -> object:
    """A bare function stands for what reads it."""
    if not isinstance(value, Mapping):
        return value
    return {n: {"function": f} if callable(f) else f for n, f in value.items()}


Business = Annotated[dict[Name, Reader], BeforeValidator(_readers)]


class Monitor(Node):
    """How live days are compared with what the champion learned from."""

    window: Int = Field(default=14, ge=1, description="trailing partitions compared at once")
    watch: Names = Field(
        default=(),
        description="features that may raise an alarm; default: all but calendar and low-cardinality ones",
    )
    grid_window: Int = Field(
        default=28, ge=1, description="first partitions by calendar, whose quantiles make the profile grid"
    )
    alarms: Alarms = Alarms()
    slices: bool = Field(
        default=False, description="whether scores and labels are compared on the declared slices too"
    )
    skew: bool = Field(
        default=False,
        description="whether served features are made again and compared; makes two days a night",
    )
    business: Business = Field(
        default={},
        description="what predictions were worth: functions of a day's rows that give numbers, by name",
    )
    shadow: Literal["staging"] | None = Field(
        default=None, description="versions that score the same days beside the champion; default: none"
    )
    domain: bool = Field(
        default=False, description="whether a classifier looks for drift of what goes with what; reads rows"
    )


def watching_problems(
    monitor: Monitor, slices: Collection[object], levels: Levels
) -> Iterator[tuple[KeyPath, str]]:
    """What the monitor is asked for and the pipeline does not declare, and limits of what the monitor does not tell."""
    known = list(monitor.business)
    for name in levels.business:
        if name.split(".")[0] not in known:
            text = f"unknown business metric {name!r}. {choices(name, known)}"
            missing = "no business metric is declared: give 'monitor' a 'business'"
            yield ("levels", "business", name), text if known else missing
    if not monitor.skew and levels.skew_rate not in (None, Level()):
        yield (
            ("levels", "skew_rate"),
            "is told by 'monitor.skew', which is switched off: monitor = {'skew': True}",
        )
    if monitor.slices and not slices:
        yield ("monitor", "slices"), "needs declared slices: give the pipeline 'slices', such as [country]"
