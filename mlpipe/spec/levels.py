"""Service levels of a pipeline: which numbers are asked of a day, what a miss means, and what is done about it."""

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mlpipe.core.sla import DEFAULTS, FLOORS, HOURLY_AGE, SERVED, Indicator, Kind, Response, Severity
from mlpipe.spec.nodes import Duration, Float, KeyPath, Name, Node, Wrong, choices, shown

FRAMES = ("features", "predictions", "labels")
"""What an indicator of one's own may read, by the name of its parameter: a day's rows."""
BUSINESS = "business"
KINDS: tuple[Kind, ...] = ("below", "above", "at_least", "at_most")
SHARES = (
    "missing_rate",
    "valid_rate",
    "outlier_rate",
    "volume",
    "label_coverage",
    "labels_overdue",
    "score_js",
    "skew_rate",
)
DATED = ("volume", "labels_overdue")
"""Indicators that compare days, and so need partitions."""
Stand = Literal["previous", "rule", "constant", "off"]


def _spelled(value: object) -> object:
    """``fall_back`` means ``fall back``."""
    return value.replace("_", " ") if isinstance(value, str) else value


Answer = Annotated[Response, BeforeValidator(_spelled)]


class Level(Node):
    """What is asked of one known indicator; what is not given is the default of that indicator."""

    limit: Float | None = None
    severity: Severity | None = None
    response: Answer | None = None


def _level(value: object) -> object:
    """A bare number is a limit. ``off`` reads as false in YAML, and switches the indicator off as null does."""
    if value is False or value == "off":
        return None
    if value is True or value == "on":
        return {}
    return {"limit": value} if isinstance(value, (int, float)) else value


Asked = Annotated[Level | None, BeforeValidator(_level)]


class Limited(Node):
    """A number that a pipeline tells, and its limit."""

    below: Float | None = None
    above: Float | None = None
    at_least: Float | None = None
    at_most: Float | None = None
    severity: Severity = "warning"
    response: Answer = "warn"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = [k for k in KINDS if getattr(self, k) is not None]
        if len(given) != 1:
            said = " and ".join(given) if given else "none"
            raise ValueError(f"needs one limit: below, above, at_least or at_most; got {said}")
        return self

    def indicator(self, name: str) -> Indicator:
        """As what is asked."""
        kind = next(k for k in KINDS if getattr(self, k) is not None)
        return Indicator(name, kind, float(getattr(self, kind)), self.severity, self.response, True)


class Reader(Node):
    """A function of a day's rows; its parameters name what it reads, of `FRAMES`."""

    function: Callable[..., Any]

    @model_validator(mode="after")
    def _reads(self) -> Self:
        reads = _parameters(self.function)
        wrong = [n for n in reads if n not in FRAMES]
        if wrong or not reads:
            text = (
                f"its parameter {wrong[0]!r} names nothing to read. {choices(wrong[0], FRAMES)}"
                if wrong
                else f"it needs a parameter that names what it reads. Valid: {', '.join(FRAMES)}."
            )
            raise Wrong((("function",), text))
        return self

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the frames that the function takes, in its order."""
        return _parameters(self.function)


class OwnLevel(Reader, Limited):
    """An indicator of one's own: a function that gives a number, and its limit. One of features alone is asked before the day is scored."""


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in found if p.default is p.empty and p.kind is not p.VAR_KEYWORD)


class ErrorBudget(Node):
    """How many days may miss an indicator: all but the share `target` of those known, over a trailing window."""

    target: Float = Field(default=0.95, ge=0.0, le=1.0, description="share of known days that must meet it")
    window: Duration = Field(default="28d", validate_default=True)


def _stand(value: object) -> object:
    """``off`` reads as false in YAML."""
    if value is False:
        return "off"
    known = ("previous", "rule", "constant", "off")
    if isinstance(value, bool) or not isinstance(value, (int, float)) and value not in known:
        raise ValueError(
            f"must be an answer (a number) or one of {', '.join(known)}; got {shown(value)}. {choices(str(value), known)}"
        )
    return value


class Levels(Node):
    """What is asked of each day. A number is a limit; null switches an indicator off; a mapping changes more than the limit."""

    missing_rate: Asked = Field(
        default=Level(), description="share of missing values among the features; < 0.01"
    )
    valid_rate: Asked = Field(default=Level(), description="share of rows that keep the contract; > 0.999")
    outlier_rate: Asked = Field(default=Level(), description="share of values outside 'usual'; < 0.02")
    volume: Asked = Field(
        default=Level(), description="rows against those usual on such a day, smaller over greater; >= 0.75"
    )
    label_coverage: Asked = Field(default=Level(), description="share of ripe rows with a label; > 0.95")
    labels_overdue: Asked = Field(
        default=Level(), description="share of labels that are late, by what is declared and usual; < 0.05"
    )
    class_ratio: Asked = Field(default=Level(), description="majority to minority class; < 20")
    psi: Asked = Field(
        default=Level(), description="PSI of a watched column; < its calibrated limit, or 0.25"
    )
    score_js: Asked = Field(default=Level(), description="Jensen-Shannon distance of the score; < 0.1")
    skew_rate: Asked = Field(
        default=Level(),
        description="share of rows served otherwise than training makes them, as 'monitor.skew' finds it; <= 0.01",
    )
    age_hours: Asked = Field(
        default=Level(), description="age of the newest rows; < 24, for hourly partitions < 0.25"
    )
    performance_fall: Asked = Field(
        default=Level(),
        description="fall of the realised primary metric below the evaluation, in widths of its interval there; < 1",
    )
    performance: Asked = Field(
        default=None, description="floor (for an error: ceiling) of the realised primary metric"
    )
    rows: Asked = Field(default=None, description="least rows of a day that keep the contract")
    own: dict[Name, OwnLevel] = Field(default={}, description="indicators of your own, by name")
    business: dict[str, Limited] = Field(
        default={}, description="limits of the business metrics that 'monitor.business' tells, by name"
    )
    budget: ErrorBudget = ErrorBudget()
    freeze_promotions: bool = Field(
        default=False, description="whether a used-up budget refuses promotions (never rollbacks)"
    )
    fallback: Annotated[Stand | float, BeforeValidator(_stand)] = Field(
        default="previous",
        description="who answers under 'fall back': previous (champion), rule ('baseline'), constant (as learned), a number, off",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        wrong: list[tuple[KeyPath, str]] = []
        for name in (*DEFAULTS, *FLOORS):
            level: Level | None = getattr(self, name)
            if level is None:
                continue
            if level.limit is None and name in FLOORS:
                wrong.append(((name,), f"{name!r} has no limit of its own; give one, such as {{limit: 100}}"))
            if level.limit is not None and not 0 <= level.limit <= (1 if name in SHARES else 1e300):
                bounds = "in [0, 1]" if name in SHARES else "a number from 0"
                if name != "performance":
                    wrong.append(((name, "limit"), f"{name} must be {bounds}, got {level.limit:g}"))
            if level.response == "block scoring" and name not in SERVED:
                wrong.append(((name, "response"), _too_late(name)))
        for name, own in self.own.items():
            if name in DEFAULTS or name in FLOORS:
                wrong.append((("own", name), f"{name!r} is the name of a built-in indicator"))
            if own.response == "block scoring" and own.reads != ("features",):
                wrong.append((("own", name, "response"), _too_late(name)))
        for name, told in self.business.items():
            if told.response == "block scoring":
                wrong.append((("business", name, "response"), _too_late(name)))
        if wrong:
            raise Wrong(*wrong)
        return self

    def indicators(
        self, every: str, *, drift: bool, retrain: bool, better: str = "higher"
    ) -> dict[str, Indicator]:
        """What is asked, by name, with the defaults filled in.

        Parameters
        ----------
        every
            Cadence of the partitions. Without partitions the age of rows is asked only where a limit is named, for a table that is read
            whole is as old as whoever tries it out; and nothing that compares days.
        drift, retrain
            Whether the retraining policy has a limit on drift, and whether there is a policy at all. Where there is none, a default
            asks nobody to retrain.
        better
            Whether greater values of the primary metric are better: a floor, or for an error a ceiling.
        """
        found: dict[str, Indicator] = {}
        for name, default in {**DEFAULTS, **FLOORS}.items():
            level: Level | None = getattr(self, name)
            if (
                level is None
                or every == "none"
                and (name in DATED or (name == "age_hours" and level.limit is None))
            ):
                continue
            known = HOURLY_AGE if name == "age_hours" and every == "hour" else default.limit
            answers = drift if name == "psi" else retrain
            response = "warn" if default.response == "retrain" and not answers else default.response
            found[name] = Indicator(
                name,
                "at_most" if name == "performance" and better == "lower" else default.kind,
                known if level.limit is None else level.limit,
                level.severity or default.severity,
                level.response or response,
                level.limit is not None,
            )
        return found | {n: o.indicator(n) for n, o in self._further()}

    def _further(self) -> Iterator[tuple[str, Limited]]:
        """What the pipeline itself names: functions of its own, and business metrics."""
        yield from self.own.items()
        yield from ((f"{BUSINESS}.{n}", b) for n, b in self.business.items())

    @property
    def retraining(self) -> tuple[str, ...]:
        """Indicators whose miss asks for a retraining, where the policy allows one.

        The PSI only where the user names that response: by default the policy's own limit on drift asks.
        """
        known = [
            n
            for n in (*DEFAULTS, *FLOORS)
            if (level := getattr(self, n)) is not None
            and (
                level.response == "retrain"
                or (level.response is None and n in FLOORS and FLOORS[n].response == "retrain")
            )
        ]
        return (*known, *(n for n, o in self._further() if o.response == "retrain"))

    def asked_to(self, response: Response) -> Iterator[KeyPath]:
        """Keys under which the user names a response."""
        for name in (*DEFAULTS, *FLOORS):
            level: Level | None = getattr(self, name)
            if level is not None and level.response == response:
                yield ("levels", name, "response")
        for key, further in (("own", self.own), ("business", self.business)):
            yield from (("levels", key, n, "response") for n, o in further.items() if o.response == response)


def _too_late(name: str) -> str:
    return (
        f"{name!r} is known only after the day was scored, and cannot keep it from being scored. "
        f"'block scoring' is for {', '.join(SERVED)}, and for functions of features alone; use 'fall back' for the days after"
    )


def level_problems(levels: Levels, baseline: bool, retrain: bool) -> Iterator[tuple[KeyPath, str]]:
    """Responses that need a `baseline` or a `retrain` of the pipeline, where it has none."""
    if levels.fallback == "rule" and not baseline:
        text = "the fallback 'rule' is the pipeline's 'baseline', and it declares none"
        yield ("levels", "fallback"), text
    for path in () if retrain else levels.asked_to("retrain"):
        yield path, "'retrain' needs the pipeline's 'retrain', which is switched off"
