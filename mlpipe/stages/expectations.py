"""Great Expectations in this process: imported late, silent, and asked about one frame at a time.

Importing it takes seconds, so that happens inside functions. One ephemeral context serves the process; it shows no progress bars, sends
nothing anywhere, and a lock guards it: any thread may ask. The last frame asked about stays in memory until the next one.
"""

import logging
import os
import re
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

Kind = Literal["exists", "dtype", "count", "nulls", "copies", "values", "table"]
IGNORED = ("result_format", "include_config", "catch_exceptions", "batch_id")
"""Arguments of older suites that say how to answer, not what to expect."""


@dataclass(frozen=True, eq=False)
class Rule:
    """One expectation of a compiled suite.

    Attributes
    ----------
    name
        Short and unique in the suite, such as ``"temp between 0 and 120"``.
    dimension
        Quality dimension that the rule belongs to.
    kind
        How it is decided.
    columns
        Columns that it reads; empty when it looks at the table.
    row_level
        Whether rows that break it can be told from those that keep it. False too where a share of the rows may break it.
    mostly
        Share of the values that must keep it, in [0, 1].
    dtype
        For a rule about a type: which.
    own
        Whether the user wrote it as an expectation, rather than the contract's columns.
    expectation
        The native expectation.
    """

    name: str
    dimension: str
    kind: Kind
    columns: tuple[str, ...]
    row_level: bool
    mostly: float
    dtype: str
    own: bool
    expectation: "Expectation"


@dataclass(frozen=True, eq=False)
class Answer:
    """What Great Expectations says about one rule.

    Attributes
    ----------
    broken
        Positions of the rows that break it, ascending; None when it says nothing about rows.
    share
        Share of the tested values that break it, in [0, 1].
    error
        Why it could not be decided; then `success` is False. Empty otherwise.
    """

    success: bool
    broken: NDArray[np.int64] | None = None
    share: float = 0.0
    error: str = ""


@lru_cache(maxsize=1)
def imported() -> None:
    """Great Expectations, imported once, without its warnings and without its side effect on those of the process."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import_module("great_expectations.expectations")
        if warnings.showwarning is not shown:
            logging.captureWarnings(False)


@lru_cache(maxsize=1)
def _door() -> Any:
    """Where a frame is handed in: one silent context a process, with one data source (a new one costs 10 ms)."""
    imported()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("mlpipe").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("whole")


_LOCK = threading.Lock()


def known_expectations() -> tuple[str, ...]:
    """Names of all expectations, sorted.

    Before Great Expectations is imported the names are read from its source, in a millisecond; those that the user registered are known
    afterwards only.
    """
    if "great_expectations.expectations.registry" in sys.modules:
        imported()
        from great_expectations.expectations import registry

        names = registry.list_registered_expectation_implementations()
        return tuple(sorted(n for n in names if n.startswith("expect_")))
    package = find_spec("great_expectations")
    if package is None or package.origin is None:
        return ()
    listed = (Path(package.origin).parent / "expectations" / "core" / "__init__.py").read_text(
        encoding="utf-8"
    )
    return tuple(
        sorted(set(re.findall(r"from (?:\.|great_expectations\.expectations\.core\.)(expect_\w+)", listed)))
    )


def make_expectation(
    kind: str, kwargs: Mapping[str, Any], extras: Mapping[str, Any], where: str
) -> "Expectation":
    """Native expectation, or an error that names what is wrong with it."""
    imported()
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        build = get_expectation_impl(kind)
    except ExpectationNotFoundError:
        raise SpecError(
            f"unknown expectation {kind!r}", where=where, fix=did_you_mean(kind, known_expectations())
        ) from None
    parameters = [k for k, v in kwargs.items() if isinstance(v, dict) and "$PARAMETER" in v]
    if parameters:
        raise SpecError(
            f"{kind} takes {parameters[0]!r} from a suite parameter, and a contract has none",
            where=where,
            fix="Write the value.",
        )
    try:
        made: Expectation = build(**{k: v for k, v in kwargs.items() if k not in IGNORED}, **extras)
    except (TypeError, ValueError) as error:  # pydantic's error is a ValueError
        reasons = _reasons(error)
        fields = sorted(f for f in build.__fields__ if f not in _PLUMBING)
        raise SpecError(
            f"{kind} does not take these arguments: {reasons}",
            where=where,
            fix=f"It knows: {', '.join(fields)}.",
        ) from error
    return made


_PLUMBING = (*IGNORED, "id", "meta", "notes", "description", "rendered_content", "severity", "windows")


def _reasons(error: Exception) -> str:
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return str(error)
    places = [(".".join(str(x) for x in e["loc"] if x != "__root__"), e["msg"]) for e in listed()]
    return "; ".join(dict.fromkeys(f"{place} {message}".strip() for place, message in places))


# -- evaluating ----------------------------------------------------------------------------------------------


def evaluate(frame: pd.DataFrame, rules: Sequence[Rule], *, listed: bool = True) -> dict[str, Answer]:
    """Let Great Expectations decide some rules about a frame with the index 0 … n-1.

    First only whether each rule holds, then (where `listed`) the rows of those that do not: most rules hold on most days, and listing
    costs as much again.

    Returns
    -------
    An answer by the name of the rule. A rule that raises inside Great Expectations is an answer with an `error`.
    """
    if not rules:
        return {}
    answers = _ask(frame, rules, "BOOLEAN_ONLY")
    again = [
        r
        for r in rules
        if not answers[r.name].error and r.kind != "table" and (r.mostly < 1.0 or not answers[r.name].success)
    ]
    if again and listed:
        answers |= _ask(frame, again, "COMPLETE")
    return answers


def _ask(frame: pd.DataFrame, rules: Sequence[Rule], detail: str) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for away, some in _apart(frame, rules).items():
        alike = [r for r in some if not set(r.columns).isdisjoint(away)]
        for rule in alike:
            shown = ", ".join(map(repr, rule.columns))
            answers[rule.name] = Answer(
                False, error=f"Great Expectations cannot tell these columns apart: {shown}"
            )
        rest = [r for r in some if r not in alike]
        if rest:
            answers |= _asked(frame.drop(columns=list(away)) if away else frame, rest, detail)
    return answers


def _apart(frame: pd.DataFrame, rules: Sequence[Rule]) -> dict[tuple[str, ...], list[Rule]]:
    """Rules by the columns that must be out of sight when they are asked.

    Great Expectations finds a column by its name in small letters and takes the first that fits: with `size` and `SIZE` in a table, a rule
    about the second would be asked about the first.
    """
    names = [str(c) for c in frame.columns]
    counts = Counter(n.casefold() for n in names)
    out: dict[tuple[str, ...], list[Rule]] = {}
    for rule in rules:
        small = Counter(c.casefold() for c in rule.columns if counts[c.casefold()] > 1)
        crowded = {n for n, times in small.items() if times > 1}
        away = tuple(
            n for n in names if n.casefold() in small and (n not in rule.columns or n.casefold() in crowded)
        )
        out.setdefault(away, []).append(rule)
    return out


def _asked(frame: pd.DataFrame, rules: Sequence[Rule], detail: str) -> dict[str, Answer]:
    import great_expectations as gx

    suite = gx.ExpectationSuite(name="asked", expectations=[r.expectation for r in rules])
    with _LOCK:
        batch = _door().get_batch({"dataframe": frame})
        found = batch.validate(
            suite, result_format={"result_format": detail, "return_unexpected_index_query": False}
        )
    return {str(r.expectation_config.meta["mlpipe"]["rule"]): _answer(r) for r in found.results}


def _answer(result: Any) -> Answer:
    raised = result.exception_info or {}
    details = [raised] if "raised_exception" in raised else list(raised.values())
    errors = [
        str(d.get("exception_message")) for d in details if isinstance(d, dict) and d.get("raised_exception")
    ]
    if errors:
        return Answer(False, error=errors[0][:300])
    index = result.result.get("unexpected_index_list")
    broken = None if index is None else np.unique(np.asarray(index, dtype=np.int64))
    return Answer(bool(result.success), broken, float(result.result.get("unexpected_percent") or 0.0) / 100)
