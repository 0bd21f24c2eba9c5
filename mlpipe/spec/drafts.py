"""The Python door: thin constructors that only remember what was written, and where.

Nothing is checked here, so that `mlpipe.spec.build.build` can report every mistake of a pipeline at once, with its line.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlpipe.spec.calendar import Calendar
from mlpipe.spec.modeling import Label, Problem, Retrain, Split
from mlpipe.spec.nodes import Node
from mlpipe.spec.sources import (
    Column,
    Contract,
    CsvSource,
    LoadSource,
    ParquetSource,
    SqlSource,
    UpstreamSource,
)


@dataclass(frozen=True)
class Draft:
    """A node as it was written: its settings, and the file and line of the call."""

    settings: dict[str, Any]
    where: str = ""
    node: type[Node] = field(default=Node)


def caller(depth: int = 2) -> str:
    """File and line of the code that called the constructor."""
    frame = sys._getframe(depth)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def door(
    node: type[Node], *positional: str, fixed: dict[str, Any] | None = None, name: str = ""
) -> Callable[..., Draft]:
    """Constructor of a node for users, with the node's fields as its signature."""
    fixed = fixed or {}
    fields = [f for f in node.model_fields if f not in fixed and f != "type"]
    extra = {"type": node.model_fields["type"].default} if "type" in node.model_fields else {}

    def construct(*args: Any, **settings: Any) -> Draft:
        if len(args) > len(positional):
            raise TypeError(
                f"{construct.__name__} takes {len(positional)} positional arguments ({', '.join(positional)}), got {len(args)}"
            )
        given = dict(zip(positional, args, strict=False))
        twice = sorted(set(given) & set(settings))
        if twice:
            raise TypeError(f"{construct.__name__} got {', '.join(twice)} twice")
        return Draft({**extra, **fixed, **given, **settings}, caller(), node)

    construct.__name__ = construct.__qualname__ = name or node.__name__
    construct.__doc__ = _document(node, fields)
    kinds = inspect.Parameter
    construct.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [kinds(p, kinds.POSITIONAL_OR_KEYWORD) for p in positional]
        + [
            kinds(f, kinds.KEYWORD_ONLY, default=node.model_fields[f].default)
            for f in fields
            if f not in positional
        ]
    )
    return construct


def _document(node: type[Node], fields: list[str]) -> str:
    lines = [inspect.cleandoc(node.__doc__ or ""), "", "Parameters", "----------"]
    for name in fields:
        info = node.model_fields[name]
        default = "" if info.is_required() else f", default {info.default!r}"
        lines += [
            f"{name} : {getattr(info.annotation, '__name__', info.annotation)}{default}",
            f"    {info.description or ''}".rstrip(),
        ]
    return "\n".join(lines)


hourly = door(Calendar, "start", fixed={"every": "hour"}, name="hourly")
daily = door(Calendar, "start", fixed={"every": "day"}, name="daily")
weekly = door(Calendar, "start", fixed={"every": "week"}, name="weekly")
monthly = door(Calendar, "start", fixed={"every": "month"}, name="monthly")
unpartitioned = door(Calendar, fixed={"every": "none"}, name="unpartitioned")

Parquet = door(ParquetSource, "path", name="Parquet")
CSV = door(CsvSource, "path", name="CSV")
SQL = door(SqlSource, "url", "table", name="SQL")
Load = door(LoadSource, "function", name="Load")
Upstream = door(UpstreamSource, "asset", name="Upstream")
ContractDoor = door(Contract, name="Contract")
ColumnDoor = door(Column, "dtype", name="Column")
SplitDoor = door(Split, name="Split")
RetrainDoor = door(Retrain, name="Retrain")
ProblemDoor = door(Problem, name="Problem")

_label = door(Label, "column", name="Label")


def LabelDoor(label: str | Callable[..., Any] | None = None, **settings: Any) -> Draft:
    """The truth about a row: a column, or a function ``label(rows) -> Series``. See `mlpipe.spec.modeling.Label`."""
    given = {} if label is None else {"function" if callable(label) else "column": label}
    return Draft({**given, **settings}, caller(), Label)


class GateDoor:
    """Gates by name: ``gate.at_least("f1", 0.6)``, ``gate.beats_champion("f1", margin=0.01)``."""

    def __getattr__(self, kind: str) -> Callable[..., Draft]:
        if kind.startswith("_"):
            raise AttributeError(kind)
        from mlpipe.core.gates import GATES
        from mlpipe.spec.modeling import Gate

        def construct(*args: Any, **params: Any) -> Draft:
            names = (*GATES[kind][0], *GATES[kind][1]) if kind in GATES else ()
            given = dict(zip(names, args, strict=False))
            return Draft({"kind": kind, "params": {**given, **params}}, caller(), Gate)

        construct.__name__ = kind
        return construct

    def __dir__(self) -> list[str]:
        from mlpipe.core.gates import GATES

        return sorted(GATES)


gate = GateDoor()
