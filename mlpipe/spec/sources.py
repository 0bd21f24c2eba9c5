"""Where rows come from, and the contract that they must keep."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mlpipe.spec.calendar import Timezone
from mlpipe.spec.cleaning import Clean, Usual
from mlpipe.spec.nodes import Duration, Float, Int, KeyPath, Names, Node, Wrong, choices, listed

Dtype = Literal["int", "float", "number", "string", "bool", "datetime"]


def _optional_list(value: object) -> object:
    return None if value is None else listed(value)


OptionalNames = Annotated[tuple[str, ...] | None, BeforeValidator(_optional_list)]


class Column(Node):
    """What one column must be. Rows that break dtype, range, set or pattern are quarantined."""

    dtype: Dtype | None = None
    nullable: float = Field(
        default=1.0, ge=0.0, le=1.0, description="largest share of nulls; 0 quarantines each null"
    )
    min: Float | None = None
    max: Float | None = None
    allowed: Annotated[tuple[Any, ...] | None, BeforeValidator(_optional_list)] = None
    pattern: str | None = Field(default=None, description="regular expression that each value must match")
    unique: bool = False
    usual: Usual = Field(
        default=None,
        description="[low, high] in which numbers usually lie; others are reported, and their rows kept",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        wrong: list[tuple[KeyPath, str]] = []
        if self.usual is not None and self.dtype in ("string", "bool", "datetime"):
            wrong.append((("usual",), f"'usual' bounds numbers, and the column is declared as {self.dtype}"))
        if self.min is not None and self.max is not None and self.min > self.max:
            wrong.append((("min",), f"min {self.min:g} is above max {self.max:g}"))
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except (re.error, OverflowError, RecursionError) as error:
                text = f"pattern {self.pattern!r} is no regular expression: {error}"
                wrong.append((("pattern",), text))
        if wrong:
            raise Wrong(*wrong)
        return self


class Expectation(Node):
    """A Great Expectations expectation of the user's own, by its snake-case type name."""

    type: str = Field(pattern=r"^expect_[a-z0-9_]+$")
    kwargs: dict[str, Any] = {}


class Contract(Node):
    """What the rows of a source must keep; compiles to a Great Expectations suite."""

    columns: dict[str, Column] = {}
    unique: OptionalNames = Field(
        default=None, description="columns that together identify a row; default: the keys of the source"
    )
    min_rows: Int | None = Field(default=None, ge=0)
    max_rows: Int | None = Field(default=None, ge=0)
    freshness: Duration | None = Field(
        default=None, description="longest gap between the newest row and the end of the partition"
    )
    expectations: tuple[Expectation, ...] = ()
    suite: str | None = Field(default=None, description="path of a Great Expectations suite file (JSON)")
    floor: Float = Field(
        default=0.95, ge=0.0, le=1.0, description="quality score below which the partition is failed"
    )
    repair: Callable[..., Any] | None = Field(
        default=None,
        description="repair(quarantined rows) -> rows; those that then keep the contract are brought back",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_rows is not None and self.max_rows is not None and self.min_rows > self.max_rows:
            raise Wrong((("min_rows",), f"min_rows {self.min_rows} is above max_rows {self.max_rows}"))
        return self


class Join(Node):
    """How a side table meets the rows of the primary source: the last row known at the moment of prediction."""

    on: Names
    tolerance: Duration | None = Field(
        default=None, description="oldest row that still counts; default: no limit but the look-back"
    )


class Source(Node):
    """What all sources have in common."""

    event_time: str | None = Field(default=None, description="column with the moment a row belongs to")
    keys: Names = Field(default=(), description="columns that together identify a row")
    timezone: Timezone | None = Field(
        default=None, description="zone of event times without one; default: the zone of the partitions"
    )
    columns: OptionalNames = Field(default=None, description="columns to read; default: all")
    join: Join | None = Field(default=None, description="makes this a side table of the primary source")
    available_after: Duration = Field(
        default="0s", description="a row is known this long after its event time", validate_default=True
    )
    clean: dict[str, Clean] = Field(
        default={},
        description="form of columns, by name: `to` number, bool, time or text, and how it is spelled; see docs/cleaning.md",
    )
    contract: Contract = Contract()
    timeout: Duration | None = Field(default=None, description="longest time that one load may take")

    @model_validator(mode="after")
    def _formed(self) -> Self:
        wrong: list[tuple[KeyPath, str]] = []
        joined = () if self.join is None else self.join.on
        read = [*(self.columns or ()), *self.keys, *joined, *filter(None, [self.event_time])]
        for name in self.clean if self.columns is not None else ():
            if name not in read:
                wrong.append((("clean", name), f"{name!r} is not read. {choices(name, read)}"))
        if self.event_time in self.clean and self.clean[self.event_time].to != "time":
            wrong.append((("clean", self.event_time, "to"), "the event time must be a time"))
        if wrong:
            raise Wrong(*wrong)
        return self


class Files(Source):
    """Files whose path holds ``{partition}``, or one file (or folder) that is cut by its event time.

    A brace in the name of a file is written twice.
    """

    path: str

    @model_validator(mode="after")
    def _cut(self) -> Self:
        rest = self.path.replace("{{", "").replace("}}", "").replace("{partition}", "")
        if "{" in rest or "}" in rest:
            text = f"path {self.path!r} has a placeholder other than {{partition}}; write a brace of a file's name twice"
            raise Wrong((("path",), text))
        return self

    @property
    def templated(self) -> bool:
        """Whether each partition has a file of its own."""
        return "{partition}" in self.path.replace("{{", "").replace("}}", "")

    def located(self, key: str) -> str:
        """Path of the file of a partition."""
        held = self.path.replace("{{", "\0").replace("}}", "\1").replace("{partition}", key)
        return held.replace("\0", "{").replace("\1", "}")


class ParquetSource(Files):
    """Parquet files."""

    type: Literal["parquet"] = "parquet"


class CsvSource(Files):
    """CSV files, also compressed; `options` go to `pandas.read_csv`."""

    type: Literal["csv"] = "csv"
    options: dict[str, Any] = {}


class JsonLinesSource(Files):
    """JSON lines, also compressed: one record a line. Records within records become columns ``outer.inner``, lists JSON text."""

    type: Literal["jsonl"] = "jsonl"


class SqlSource(Source):
    """A table, or a query with ``:start`` and ``:end``, read through SQLAlchemy. ``${NAME}`` in the URL comes from the environment."""

    type: Literal["sql"] = "sql"
    url: str
    table: str | None = None
    query: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("a SQL source needs either 'table' or 'query'")
        return self


class LoadSource(Source):
    """A function ``load(window) -> DataFrame``; the window has aware `start` and `end` and the partition `keys`."""

    type: Literal["load"] = "load"
    function: Callable[..., Any]


class UpstreamSource(Source):
    """An existing Dagster asset, read through its own IO manager; a real dependency."""

    type: Literal["upstream"] = "upstream"
    asset: str = Field(
        pattern=r"^[A-Za-z0-9_\-.]+(/[A-Za-z0-9_\-.]+)*$", description="asset key with slashes"
    )


AnySource = Annotated[
    ParquetSource | CsvSource | JsonLinesSource | SqlSource | LoadSource | UpstreamSource,
    Field(discriminator="type"),
]
