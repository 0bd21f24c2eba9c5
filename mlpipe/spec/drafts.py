"""The Python door: thin constructors that only remember what was written, and where.

Nothing is checked here, so that `mlpipe.spec.build.build` can report every mistake of a pipeline at once, with its line.
"""

import collections.abc
import inspect
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mlpipe.core.gates import GATES
from mlpipe.spec.calendar import Calendar
from mlpipe.spec.modeling import Label, Retrain, Split
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
    """A node as it was written: its settings, the file and line of the call, and what was wrong with the call itself."""

    settings: dict[str, Any]
    where: str = ""
    wrong: tuple[str, ...] = ()


def caller(depth: int = 2) -> str:
    """File and line of the code that called the constructor."""
    frame = sys._getframe(depth)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _given(name: str, positional: Sequence[str], args: tuple[Any, ...], settings: dict[str, Any]) -> Draft:
    """Draft of a call, made by the caller's caller."""
    wrong = []
    if len(args) > len(positional):
        names = f" ({', '.join(positional)})" if positional else ""
        most = "1 positional argument" if len(positional) == 1 else f"{len(positional)} positional arguments"
        wrong.append(f"{name} takes at most {most}{names}, got {len(args)}; name the others")
    first = dict(zip(positional, args, strict=False))
    twice = [key for key in first if key in settings]
    if twice:
        wrong.append(f"{name} got {' and '.join(twice)} twice, by position and by name")
    return Draft({**first, **settings}, caller(3), tuple(wrong))


def door(
    node: type[Node], *positional: str, fixed: dict[str, Any] | None = None, name: str = ""
) -> Callable[..., Draft]:
    """Constructor of a node for users, with the node's fields as its signature."""
    fixed = dict(fixed or {})
    if "type" in node.model_fields:
        fixed["type"] = node.model_fields["type"].default
    fields = [f for f in node.model_fields if f not in fixed]

    def construct(*args: Any, **settings: Any) -> Draft:
        draft = _given(construct.__name__, positional, args, settings)
        return replace(draft, settings={**fixed, **draft.settings})

    return _dressed(construct, node, name or node.__name__, positional, fields)


def _dressed(
    construct: Callable[..., Draft], node: type[Node], name: str, positional: Sequence[str], fields: list[str]
) -> Callable[..., Draft]:
    """The constructor with the name, the signature and the documentation of what it makes."""
    kinds = inspect.Parameter
    infos = node.model_fields
    by_position = [
        kinds(p, kinds.POSITIONAL_OR_KEYWORD, default=_default(infos[p]) if p in infos else None)
        for p in positional
    ]
    by_name = [
        kinds(f, kinds.KEYWORD_ONLY, default=_default(infos[f])) for f in fields if f not in positional
    ]
    construct.__name__ = construct.__qualname__ = name
    construct.__doc__ = _document(node, fields)
    vars(construct)["__signature__"] = inspect.Signature([*by_position, *by_name])
    return construct


def _default(info: FieldInfo) -> Any:
    return inspect.Parameter.empty if info.is_required() else info.default


def _document(node: type[Node], fields: list[str]) -> str:
    lines = [inspect.cleandoc(node.__doc__ or ""), "", "Parameters", "----------"]
    for name in fields:
        info = node.model_fields[name]
        default = "" if info.is_required() else f", default {info.default!r}"
        lines.append(f"{name} : {_type_name(info.annotation)}{default}")
        lines += [f"    {info.description}"] if info.description else []
    return "\n".join(lines)


def _type_name(annotation: Any) -> str:
    """Type as a user reads it: without the metadata of validators, without modules."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(a) for a in arguments)
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is collections.abc.Callable:
        return "function"
    inner = ", ".join(_type_name(a) for a in arguments if a is not ...)
    plain = {timedelta: "duration", type(None): "None", tuple: "list"}.get(origin or annotation)
    name = plain or str(getattr(origin or annotation, "__name__", annotation))
    return f"{name} of {inner}" if inner else name


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


def LabelDoor(*args: Any, **settings: Any) -> Draft:
    """Replaced by the documentation of `Label`."""
    draft = _given("Label", ("column",), args, settings)
    given = dict(draft.settings)
    if callable(given.get("column")):
        given["function"] = given.pop("column")
    return replace(draft, settings=given)


# The first argument is a column or a function: Label("churned"), Label(late).
_dressed(LabelDoor, Label, "Label", ("column",), list(Label.model_fields))


class GateDoor:
    """Gates by name: ``gate.at_least("f1", 0.6)``, ``gate.beats_champion("f1", margin="0.5%")``.

    A margin is a number in units of the metric, or a percentage: that share of the rival's value on the same rows.
    """

    def __getattr__(self, kind: str) -> Callable[..., Draft]:
        if kind.startswith("_"):
            raise AttributeError(kind)
        required, optional, text, *_ = GATES.get(kind, ((), {}, ""))

        def construct(*args: Any, **params: Any) -> Draft:
            draft = _given(f"gate.{kind}", (*required, *optional), args, params)
            # The arguments of an unknown gate say nothing that its name does not.
            return replace(draft, settings={kind: draft.settings}, wrong=draft.wrong if kind in GATES else ())

        construct.__name__ = construct.__qualname__ = kind
        construct.__doc__ = f"Passes when {text}." if text else None
        names = [(n, inspect.Parameter.empty) for n in required] + list(optional.items())
        parameters = [
            inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=d) for n, d in names
        ]
        vars(construct)["__signature__"] = inspect.Signature(parameters)
        return construct

    def __dir__(self) -> list[str]:
        return sorted(GATES)


gate = GateDoor()
