"""By what a model is judged: gates, slices, fairness, metrics of one's own, what errors cost, and a test window under lock."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mlpipe.core.costs import cost
from mlpipe.core.fairness import MEASURES
from mlpipe.core.gates import GATES, margin_error
from mlpipe.core.metrics import METRICS
from mlpipe.errors import MlpipeError
from mlpipe.spec.nodes import (
    Float,
    Int,
    KeyPath,
    Name,
    Node,
    Wrong,
    choices,
    once,
    one_of,
    shown,
    unknown_names,
)

BASELINES = ("constant", "rule", "linear")
"""What a gate may compare with: the best constant answer, the user's own rule, a logistic or linear model."""
PROBED = (
    "slices",
    "fairness",
    "behaviour",
    "robustness",
    "resources",
    "leakage",
    "explanation",
    "golden",
    "calibration",
    "reproduction",
    "lineage",
    "documentation",
)
"""Probes whose facts a function of one's own may ask for."""
_ONE_OF = {
    "baseline": BASELINES,
    "on": ("golden", "test"),
    "least": ("equal", "identical"),
    "measure": ("four_fifths", *MEASURES),
}


class Gate(Node):
    """A condition for promotion: its kind and what that kind asks for."""

    kind: Annotated[str, one_of("gate", lambda: tuple(sorted(GATES)))]
    params: dict[str, Any] = {}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        required, optional, *_ = GATES[self.kind]
        known, owner = (*required, *optional), f"gate {self.kind}"
        missing = [r for r in required if r not in self.params]
        wrong: list[tuple[KeyPath, str]] = []
        if missing:
            wrong.append(((), f"{owner} needs {' and '.join(missing)}"))
        wrong += unknown_names(self.params, known, owner)
        for name, value in self.params.items():
            absent = value is None and name in optional and optional[name] is None
            text = _gate_error(name, value) if name in known and not absent else ""
            wrong += [((name,), text)] if text else []
        measure = self.params.get("measure")
        if measure in MEASURES and self.params.get("limit") is None:
            wrong.append((("limit",), f"the measure {measure!r} needs a limit"))
        if wrong:
            raise Wrong(*((("params", *path), text) for path, text in wrong))
        return self

    def to_plain(self) -> dict[str, Any]:
        """The gate as it stands in recipes and records: a function by its name; its code is fingerprinted beside it."""
        return {
            "kind": self.kind,
            "params": {n: getattr(v, "__qualname__", v) for n, v in self.params.items()},
        }


def _gate_error(name: str, value: object) -> str:
    """What is wrong with a parameter of a gate; empty when it is right."""
    if name == "metric":
        # Whether there is a metric of that name is known where the pipeline's own are: `mlpipe.spec.measures`.
        return "" if isinstance(value, str) else f"metric must be the name of a metric, got {shown(value)}"
    if name in _ONE_OF:
        known = list(_ONE_OF[name])
        return "" if value in known else f"unknown {name} {value!r}. {choices(str(value), known)}"
    if name == "column":
        return "" if isinstance(value, str) else f"column must be the name of a column, got {shown(value)}"
    if name == "function":
        return "" if callable(value) else f"function must be a function, got {shown(value)}"
    if name == "needs":
        wrong = [n for n in value if n not in PROBED] if isinstance(value, (list, tuple)) else [value]
        return f"unknown probe {wrong[0]!r}. {choices(str(wrong[0]), PROBED)}" if wrong else ""
    if name == "margin":
        return margin_error(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        return f"{name} must be a number, got {shown(value)}"
    if (
        name in ("by", "failures", "crashes", "p99_ms", "batch_p99_ms", "mb", "bundle_mb", "ece")
        and value < 0
    ):
        return f"{name} must not be negative, got {value!r}"
    return f"level must lie in (0, 1), got {value!r}" if name == "level" and not 0 < value < 1 else ""


Columns = Annotated[
    tuple[str, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v), Field(min_length=1)
]
"""One column, or several whose intersections are meant."""


def _by(value: Any) -> Any:
    """A bare list of columns stands for ``{by: […]}``."""
    return (
        {"by": value}
        if isinstance(value, (list, tuple))
        else {"by": [value]}
        if isinstance(value, str)
        else value
    )


class Slices(Node):
    """Parts of the judged rows on which the model is judged too."""

    by: tuple[Columns, ...] = Field(
        default=(), description="columns, or lists of columns whose intersections are meant"
    )
    min_support: Int = Field(default=50, ge=2, description="fewest rows of a slice")
    by_itself: bool = Field(
        default=True, description="whether the worst slices are looked for among all features too"
    )
    resamples: Int = Field(default=400, ge=100, le=100_000, description="resamples behind each interval")


class Fairness(Node):
    """Columns by whose groups a model must not differ."""

    by: tuple[Columns, ...] = Field(min_length=1, description="columns, or lists of columns")
    reference: dict[str, str] = Field(
        default={}, description="group that the others stand beside, by column; default: the largest"
    )
    min_support: Int = Field(default=50, ge=2, description="fewest rows of a group")


class Metric(Node):
    """A metric of one's own: a function of the truth and the scores."""

    name: Name
    function: Callable[..., Any]
    better: Literal["higher", "lower"]
    needs: Literal["score", "label"] = "score"

    @model_validator(mode="after")
    def _new(self) -> Self:
        if self.name in METRICS:
            raise Wrong((("name",), f"{self.name!r} is the name of a built-in metric"))
        return self


class Locked(Node):
    """The last part of the test window: judged for release decisions only, and each look is counted."""

    share: Float = Field(default=0.5, gt=0, lt=1, description="share of the test part's length, its last")


def _costs(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError(
            f"must map errors to what they cost, such as {{false_positive: 1, false_negative: 5}}; got {shown(value)}"
        )
    try:
        cost(value)
    except MlpipeError as error:
        raise ValueError(f"{error.what.rstrip('.')}. {error.fix}".strip()) from None
    return value


Sliced = Annotated[Slices, BeforeValidator(_by)]
Fair = Annotated[Fairness | None, BeforeValidator(_by)]
Costs = Annotated[dict[Any, Any] | None, BeforeValidator(_costs)]
OwnMetrics = Annotated[tuple[Metric, ...], once(lambda n: f"two metrics are called {n!r}", "name")]


def gate_problems(
    place: str, gates: Sequence[Gate], declared: Sequence[str]
) -> Iterator[tuple[KeyPath, str]]:
    """Gates that need what the pipeline does not declare.

    Parameters
    ----------
    place
        Key of the gates.
    declared
        Keys that the pipeline gives.
    """
    wants = {
        "no_slice_regresses": "slices",
        "fair": "fairness",
        "behaves": "behaviour",
        "within": "golden",
    }
    for i, gate in enumerate(gates):
        key = wants.get(gate.kind)
        if gate.params.get("baseline") == "rule" and "baseline" not in declared:
            yield (
                (place, i, "params", "baseline"),
                "the gate compares with the baseline 'rule', but the pipeline declares no 'baseline'",
            )
        if key is not None and key not in declared and gate.params.get("on") != "test":
            yield (
                (place, i, "kind"),
                f"the gate {gate.kind} needs the pipeline's {key!r}, which declares none",
            )
