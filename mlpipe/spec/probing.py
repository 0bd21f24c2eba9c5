"""What a model is put through beside its metrics: tests of behaviour, odd input, its speed and size, leaks, what it goes by, fixed rows."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mlpipe.core.behaviour import DIRECTIONS, Change, parse_change
from mlpipe.spec.nodes import Duration, Float, Int, KeyPath, Name, Node, Wrong, choices, once, shown

Expect = Any
"""A label, ``[low, high]`` of the score, or ``up``, ``down`` or ``same``."""
_CELLS = (str, int, float, bool)
MOST_CASES = 1000


def _changes(value: object) -> object:
    """Each change as written; one that cannot be read is reported with its feature."""
    if not isinstance(value, dict):
        raise ValueError(
            f"must map features to their change, such as {{dep_delay: '+30'}}; got {shown(value)}"
        )
    wrong: list[tuple[KeyPath, str]] = []
    for feature, given in value.items():
        try:
            parse_change(given)
        except ValueError as error:
            wrong.append(((str(feature),), str(error)))
    if wrong:
        raise Wrong(*wrong)
    return value


def _condition(value: object) -> object:
    """What a cell must be: a value, one of a list, or ``{min:, max:}``."""
    if not isinstance(value, dict):
        raise ValueError(f"must map columns to what they hold, such as {{origin: JFK}}; got {shown(value)}")
    for column, wanted in value.items():
        good = wanted is None or isinstance(wanted, _CELLS)
        good |= isinstance(wanted, (list, tuple)) and all(w is None or isinstance(w, _CELLS) for w in wanted)
        good |= isinstance(wanted, dict) and bool(wanted) and {*wanted} <= {"min", "max"}
        if not good:
            raise Wrong(
                ((str(column),), f"must be a value, a list of values, or {{min:, max:}}; got {shown(wanted)}")
            )
    return value


def _rows(value: object) -> object:
    """How many rows, or the rows themselves."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(row, dict) and row for row in value):
        return tuple(value)
    raise ValueError(
        f"must be a number of rows, or a list of rows, each a mapping of features; got {shown(value)}"
    )


def score_range(expect: Expect) -> tuple[float, float] | None:
    """Bounds of the score where two numbers are expected; None where it is a label."""
    if not isinstance(expect, (list, tuple)):
        return None
    numbers = [e for e in expect if isinstance(e, (int, float)) and not isinstance(e, bool)]
    if len(expect) != 2 or len(numbers) != 2 or not numbers[0] <= numbers[1]:
        raise ValueError(f"must be a label, or [low, high] of the score; got {shown(expect)}")
    return float(numbers[0]), float(numbers[1])


class BehaviourTest(Node):
    """One test of behaviour: rows, what is changed in them, and what may become of the model's answer."""

    name: str = Field(min_length=1, max_length=200)
    capability: str = Field(
        default="general", min_length=1, max_length=60, description="what it is a test of"
    )
    test: Literal["minimum", "invariance", "directional"]
    change: Annotated[dict[str, Any], BeforeValidator(_changes)] = Field(
        default={},
        description="what becomes of features, by name: '+30', {swap: [JFK, LGA]}, {typo: 1}, null …",
    )
    expect: Expect = Field(
        default=None,
        description="minimum: a label or [low, high] of the score; directional: up, down or same",
    )
    of: Any = Field(
        default=None, description="directional, several classes: the class whose probability is meant"
    )
    rows: Annotated[Any, BeforeValidator(_rows)] = Field(
        default=200,
        description="how many judged rows at most; minimum: the rows themselves, each with its own 'expect'",
    )
    file: str | None = Field(
        default=None, description="minimum: CSV or Parquet file of rows, with a column 'expect'"
    )
    where: Annotated[dict[str, Any], BeforeValidator(_condition)] = Field(
        default={}, description="which judged rows: a value, a list, or {min:, max:}, by column"
    )
    tolerance: Float | None = Field(
        default=None,
        ge=0,
        description="how far the score may move; default: as long as the decision stays, or not at all",
    )
    allowed: Float = Field(default=0.0, ge=0, le=1, description="share of rows that may fail")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        wrong = list(self._minimum() if self.test == "minimum" else self._perturbed())
        if wrong:
            raise Wrong(*wrong)
        return self

    def _minimum(self) -> Iterator[tuple[KeyPath, str]]:
        for name in ("change", "where", "of", "tolerance"):
            if name in self.model_fields_set:
                yield (
                    (name,),
                    "a test of minimum functionality changes nothing: it has rows and what is expected of them",
                )
        if (self.file is None) == isinstance(self.rows, int):
            yield ("rows",), "a test of minimum functionality needs either its 'rows' or a 'file' of them"
        given = self.rows if isinstance(self.rows, tuple) else ()
        if isinstance(self.rows, tuple) and not 0 < len(given) <= MOST_CASES:
            yield ("rows",), f"1 to {MOST_CASES} rows, got {len(given)}; put more into a 'file'"
        for i, row in enumerate(given):
            expect = row.get("expect", self.expect)
            if expect is None:
                yield ("rows", i), "the row says nothing about what is expected, and neither does the test"
            odd = [k for k, v in row.items() if k != "expect" and v is not None and not isinstance(v, _CELLS)]
            if odd:
                yield ("rows", i, odd[0]), f"must be a number, a text or null; got {shown(row[odd[0]])}"
            yield from ((("rows", i, "expect"), text) for text in _unreadable(row.get("expect")))
        yield from ((("expect",), text) for text in _unreadable(self.expect))

    def _perturbed(self) -> Iterator[tuple[KeyPath, str]]:
        if not self.change:
            yield ("change",), f"a test of the kind {self.test} needs a 'change'"
        if not isinstance(self.rows, int) or self.rows < 1:
            yield ("rows",), f"must be how many judged rows are changed, at least 1; got {shown(self.rows)}"
        if self.file is not None:
            yield ("file",), "only a test of minimum functionality has rows of its own"
        if self.test == "directional" and self.expect not in DIRECTIONS:
            yield ("expect",), f"must be one of {', '.join(DIRECTIONS)}, got {shown(self.expect)}"
        if self.test == "invariance" and self.expect not in (None, "same"):
            yield (
                ("expect",),
                "the answer is expected to stay the same; a direction is a test of the kind directional",
            )
        if self.test == "invariance" and self.of is not None:
            yield ("of",), "the whole answer is expected to stay; one class is meant in a directional test"

    @property
    def changes(self) -> dict[str, Change]:
        """The change of each feature."""
        return {feature: parse_change(given) for feature, given in self.change.items()}


def _unreadable(expect: Expect) -> Iterator[str]:
    try:
        score_range(expect)
    except ValueError as error:
        yield str(error)
    if isinstance(expect, dict):
        yield f"must be a label, or [low, high] of the score; got {shown(expect)}"


Behaviour = Annotated[tuple[BehaviourTest, ...], once(lambda n: f"two tests are called {n!r}", "name")]


class Robustness(Node):
    """How far the probe of odd input goes."""

    rows: Int = Field(
        default=100, ge=1, le=10_000, description="judged rows whose numbers are moved in small steps"
    )
    epsilon: Float = Field(
        default=0.1, gt=0, le=10, description="size of a step, in robust standard deviations of the feature"
    )


class Resources(Node):
    """How a model is timed in a process of its own."""

    batch_rows: Int = Field(
        default=1000, ge=1, le=1_000_000, description="rows of one call when a batch is timed"
    )
    calls: Int = Field(default=200, ge=5, le=100_000, description="calls of a single row, at most")
    seconds: Float = Field(
        default=3.0, gt=0, le=600, description="time for each of both; at least five calls are made"
    )
    timeout: Duration = Field(
        default="120s", validate_default=True, description="longest time that the process may take"
    )

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if not self.timeout > timedelta(seconds=2 * self.seconds):
            raise Wrong((("timeout",), f"must be longer than twice 'seconds' ({self.seconds:g} s)"))
        return self


class Leakage(Node):
    """When a feature is suspected of knowing the truth."""

    alone: Float = Field(
        default=0.99,
        gt=0.5,
        le=1,
        description="from this AUC (or correlation) of one feature alone it is suspicious",
    )
    rows: Int = Field(default=4000, ge=100, le=1_000_000, description="rows looked at, evenly spaced")
    audit: bool = Field(
        default=True,
        description="whether the last judged partition's features are made again from what was known at its middle",
    )


class Explain(Node):
    """What the model goes by: permutation importance, and SHAP values on request."""

    method: Literal["permutation", "shap"] = "permutation"
    rows: Int = Field(default=1000, ge=20, le=100_000, description="judged rows, evenly spaced")
    repeats: Int = Field(default=5, ge=2, le=100, description="permutations of each feature")
    shap_rows: Int = Field(default=50, ge=1, le=10_000, description="rows that get SHAP values")


def explained(value: object) -> object:
    """``explain: shap`` names the method; ``explain: true`` asks for what costs least."""
    if isinstance(value, bool):
        return {} if value else None
    return {"method": value} if isinstance(value, str) else value


class Golden(Node):
    """A fixed set of rows with their truth, judged at every evaluation; and a sample of the newest rows, another one each time."""

    name: Name = "golden"
    version: str = Field(
        default="1", min_length=1, max_length=40, description="a new content needs a new version"
    )
    file: str | None = Field(default=None, description="CSV or Parquet file with the features and the truth")
    table: str | None = Field(
        default=None, pattern=r"table-[0-9a-f]{40}", description="or a table in the store"
    )
    truth: str | None = Field(default=None, description="column of the truth; default: the label's name")
    recent: Duration | None = Field(
        default=None, description="how far back the newest rows reach, such as '7d'"
    )
    recent_rows: Int = Field(default=500, ge=10, le=100_000, description="how many of them are drawn")

    @model_validator(mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"table" if value.startswith("table-") else "file": value}
        if (
            isinstance(value, dict)
            and isinstance(value.get("version"), int)
            and not isinstance(value["version"], bool)
        ):
            return {**value, "version": str(value["version"])}
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.table is None):
            raise ValueError("a golden set is either a 'file' of the project or a 'table' of the store")
        return self


def behaviour_problems(
    tests: Sequence[BehaviourTest], features: Sequence[str]
) -> Iterator[tuple[KeyPath, str]]:
    """Features that tests change or give and that the pipeline does not have, where its features are known before data.

    Parameters
    ----------
    tests
        In their order.
    features
        Names of the features; empty where a function makes them: then the evaluation says it.
    """
    for i, test in enumerate(tests):
        named: list[tuple[KeyPath, str]] = [(("change", name), name) for name in test.change]
        for j, row in enumerate(test.rows if isinstance(test.rows, tuple) else ()):
            named += [(("rows", j, name), name) for name in row if name != "expect"]
        for path, name in named if features else ():
            if name not in features:
                yield ("behaviour", i, *path), f"{name!r} is no feature. {choices(name, features)}"


Explained = Annotated[Explain | None, BeforeValidator(explained)]
