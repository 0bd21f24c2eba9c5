"""A contract as a native Great Expectations suite.

Great Expectations decides every rule about values, nulls, copies and the whole table. Three simple ones are decided elsewhere: whether a
column exists and how many rows there are (a look at the frame, against 1 ms each), and types, which Great Expectations can only test for a
column as a whole, and not at all for the ``str`` columns of pandas 3.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.errors import SpecError
from mlpipe.spec.sources import Column, Contract
from mlpipe.stages.expectations import IGNORED, Kind, Rule, known_expectations, make_expectation

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

__all__ = ["TYPES", "CompiledSuite", "Rule", "compile_suite", "known_expectations"]

_INTS = [
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "Int32Dtype",
    "Int64Dtype",
]
_FLOATS = ["float", "float32", "float64", "Float64Dtype"]
TYPES: dict[str, list[str]] = {
    "int": _INTS,
    "float": _FLOATS + _INTS,
    "number": _FLOATS + _INTS + ["bool"],
    "string": ["str", "StringDtype"],
    "bool": ["bool", "BooleanDtype"],
    "datetime": ["datetime64[ns]", "datetime64[us]", "DatetimeTZDtype", "Timestamp", "datetime", "date"],
}
"""What a type of the contract is called in a suite, for those who run the suite elsewhere."""

_DIMENSIONS = {
    "completeness": ("not_be_null", "_to_be_null", "non_null", "table_row_count"),
    "consistency": (
        *("of_type", "type_list", "type_to_be", "parseable", "json_schema", "strftime"),
        *("column_pair", "multicolumn", "select_column", "table_column"),
    ),
    "uniqueness": ("_to_be_unique", "compound_columns", "proportion_of_unique", "unique_value_count"),
}
_COPIES = ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")
_COLUMNS = ("column", "column_A", "column_B", "column_list")
_EXTRAS = ("meta", "notes", "description", "severity")


@dataclass(frozen=True, eq=False)
class CompiledSuite:
    """A contract as expectations, in the order in which they were declared."""

    native: "ExpectationSuite"
    rules: tuple[Rule, ...]

    def to_json(self) -> str:
        """The suite as Great Expectations writes it, each expectation with its rule and dimension in `meta`."""
        return json.dumps(self.native.to_json_dict(), indent=2)


def compile_suite(
    contract: Contract, keys: Sequence[str] = (), base_dir: Path | None = None, *, name: str = "contract"
) -> CompiledSuite:
    """Great Expectations suite of a contract.

    Parameters
    ----------
    keys
        Columns that identify a row, where `contract.unique` names none.
    base_dir
        Folder that the path of the user's suite file starts from; default: the current one.
    name
        Name of the suite.

    Raises
    ------
    SpecError
        When an expectation is not known or has wrong arguments, a bound is put on a column of text or times, or the suite file
        cannot be read.
    """
    rules: dict[str, Rule] = {}
    seen: set[str] = set()
    for rule in (*_declared(contract, keys), *_written(contract, base_dir)):
        same = [rule.expectation.expectation_type, rule.expectation.configuration.kwargs]
        text = json.dumps(same, sort_keys=True, default=str)
        if text not in seen:
            seen.add(text)
            rule = _named(rule, rules)
            rules[rule.name] = rule
    import great_expectations as gx

    native = gx.ExpectationSuite(name=name, expectations=[r.expectation for r in rules.values()])
    return CompiledSuite(native, tuple(rules.values()))


def _named(rule: Rule, taken: Mapping[str, Rule]) -> Rule:
    """The rule under a name of its own, which its expectation carries as `meta`."""
    name, number = rule.name[:120], 1
    while name in taken:
        number += 1
        name = f"{rule.name[:110]} ({number})"
    meta = {**(rule.expectation.meta or {}), "mlpipe": {"rule": name, "dimension": rule.dimension}}
    rule.expectation.meta = meta
    return replace(rule, name=name)


# -- the contract's own words --------------------------------------------------------------------------------


def _declared(contract: Contract, keys: Sequence[str]) -> Iterator[Rule]:
    for column, wants in contract.columns.items():
        yield _rule("exists", f"{column} exists", "completeness", "expect_column_to_exist", column=column)
        yield from _typed(column, wants)
        yield from _valued(column, wants)
    unique = tuple(contract.unique if contract.unique is not None else keys)
    if unique:
        yield _unique(unique)
    low, high = contract.min_rows or None, contract.max_rows
    if low is not None or high is not None:
        name, kind = f"{_bounds(low, high)} rows", "expect_table_row_count_to_be_between"
        yield _rule("count", name, "completeness", kind, min_value=low, max_value=high)


def _rule(
    how: Kind, name: str, dimension: str, kind: str, *, mostly: float = 1.0, dtype: str = "", **kwargs: Any
) -> Rule:
    """A rule of the contract; `kwargs` are those of the expectation."""
    if mostly < 1.0:
        kwargs["mostly"] = mostly
    columns = (kwargs["column"],) if "column" in kwargs else tuple(kwargs.get("column_list", ()))
    made = make_expectation(kind, kwargs, {}, f"contract, rule '{name}'")
    row_level = how in ("dtype", "copies", "values") or (how == "nulls" and mostly == 1.0)
    return Rule(name, dimension, how, columns, row_level, mostly, dtype, False, made)


def _unique(columns: tuple[str, ...]) -> Rule:
    name = f"{', '.join(columns)} unique"
    if len(columns) == 1:
        return _rule("copies", name, "uniqueness", _COPIES[0], column=columns[0])
    return _rule("copies", name, "uniqueness", _COPIES[1], column_list=list(columns))


def _typed(column: str, wants: Column) -> Iterator[Rule]:
    bounded = wants.min is not None or wants.max is not None
    dtype = wants.dtype or ("number" if bounded or wants.usual is not None else None)
    if bounded and dtype in ("string", "datetime"):
        raise SpecError(
            f"'min' and 'max' bound numbers, and the column is declared as {dtype}",
            where=f"contract, column {column!r}",
            fix="Write an expectation such as expect_column_values_to_be_between, or leave the bounds out.",
        )
    if dtype is not None:
        name, kind, types = f"{column} is {dtype}", "expect_column_values_to_be_in_type_list", TYPES[dtype]
        yield _rule("dtype", name, "consistency", kind, dtype=dtype, column=column, type_list=types)
    if wants.nullable < 1.0:
        # Cut, not rounded: 1 - 0.7 is a hair above 0.3, and three of ten would not do.
        mostly = math.floor((1.0 - wants.nullable) * 1e12 + 1e-3) / 1e12
        name = f"{column} not null" if wants.nullable == 0 else f"{column} at most {wants.nullable:.4g} null"
        kind = "expect_column_values_to_not_be_null"
        yield _rule("nulls", name, "completeness", kind, mostly=mostly, column=column)


def _valued(column: str, wants: Column) -> Iterator[Rule]:
    if wants.min is not None or wants.max is not None:
        name, kind = f"{column} {_bounds(wants.min, wants.max)}", "expect_column_values_to_be_between"
        yield _rule("values", name, "accuracy", kind, column=column, min_value=wants.min, max_value=wants.max)
    if wants.allowed is not None:
        values = [v for v in wants.allowed if v is not None]
        text = ", ".join(map(str, values[:5])) + (f", … of {len(values)}" if len(values) > 5 else "")
        kind = "expect_column_values_to_be_in_set"
        yield _rule("values", f"{column} in {{{text}}}", "accuracy", kind, column=column, value_set=values)
    if wants.pattern is not None:
        name, kind = f"{column} matches {wants.pattern}", "expect_column_values_to_match_regex"
        yield _rule("values", name, "accuracy", kind, column=column, regex=wants.pattern)
    if wants.unique:
        yield _unique((column,))


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:.12g}"
    return f"at least {low:.12g}" if high is None else f"between {low:.12g} and {high:.12g}"


# -- expectations of the user's own --------------------------------------------------------------------------


def _written(contract: Contract, base_dir: Path | None) -> Iterator[Rule]:
    """Expectations in the contract, and in a suite file."""
    for own in contract.expectations:
        yield _own(own.type, own.kwargs, {}, "contract, expectations")
    if contract.suite is None:
        return
    path = Path(base_dir or ".") / contract.suite
    for entry in _entries(path):
        kind = str(entry.get("type", entry.get("expectation_type")))
        extras = {k: entry[k] for k in _EXTRAS if entry.get(k) is not None}
        yield _own(kind, entry.get("kwargs") or {}, extras, f"suite file {path}")


def _entries(path: Path) -> list[Mapping[str, Any]]:
    """Expectations of a suite file, in the present spelling or the older one."""
    where = f"suite file {path}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(
            f"cannot be read: {error.strerror}",
            where=where,
            fix="Give 'suite' as a path from the folder of the pipeline.",
        ) from error
    except ValueError as error:
        raise SpecError(
            f"is no JSON: {error}", where=where, fix="Write it with Great Expectations, or by hand as JSON."
        ) from error
    entries = content.get("expectations") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(e, dict) and ("type" in e or "expectation_type" in e) for e in entries
    ):
        fix = 'A suite looks like {"name": "…", "expectations": [{"type": "expect_…", "kwargs": {…}}]}.'
        raise SpecError("holds no list of expectations with a 'type' each", where=where, fix=fix)
    return entries


def _own(kind: str, kwargs: Mapping[str, Any], extras: Mapping[str, Any], where: str) -> Rule:
    made = make_expectation(kind, kwargs, extras, where)
    from great_expectations.expectations import expectation as base

    by_row = isinstance(
        made, (base.ColumnMapExpectation, base.ColumnPairMapExpectation, base.MulticolumnMapExpectation)
    )
    mostly = getattr(made, "mostly", 1.0)
    mostly = float(mostly) if by_row and isinstance(mostly, (int, float)) else 1.0
    whole = by_row and mostly == 1.0
    how: Kind = "copies" if kind in _COPIES and whole else "values" if by_row else "table"
    if kind == "expect_column_values_to_not_be_null" and kwargs.get("row_condition") is None:
        how = "nulls"
    reads = [kwargs[k] if isinstance(kwargs[k], list) else [kwargs[k]] for k in _COLUMNS if k in kwargs]
    columns = () if "expect_table" in kind else tuple(str(c) for group in reads for c in group)
    rest = ", ".join(f"{k}={v}" for k, v in kwargs.items() if k not in (*_COLUMNS, *IGNORED))
    words = kind.removeprefix("expect_").removeprefix("column_").replace("_", " ")
    name = f"{', '.join(columns)}: {words}" if columns else words
    name = f"{name} ({rest})" if rest else name
    return Rule(name, _dimension(kind, by_row), how, columns, whole, mostly, "", True, made)


def _dimension(kind: str, by_row: bool) -> str:
    """Dimension of an expectation by its name. What is said of a table as a whole (a mean, a spread) is consistency."""
    for dimension, parts in _DIMENSIONS.items():
        if any(part in kind for part in parts):
            return dimension
    return "accuracy" if by_row else "consistency"
