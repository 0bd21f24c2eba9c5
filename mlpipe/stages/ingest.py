"""Ingest: the rows of each source in a partition, frozen under the name of their content."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from mlpipe.core.columns import with_columns
from mlpipe.errors import DataError, MlpipeError
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, Input, Output
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import LoadSource, UpstreamSource
from mlpipe.stages.cleaning import time_forms
from mlpipe.stages.context import Context
from mlpipe.stages.failures import attempted
from mlpipe.stages.frames import RESERVED
from mlpipe.stages.runner import Plan, Result, Stage, stored
from mlpipe.stages.sources import Piece, load

Schema = dict[str, dict[str, str]]


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """One load a source for all keys, then a plan a key. The plan of a key that cannot be read says why."""
    loads: dict[str, dict[str, Piece | MlpipeError]] = {}
    for name in spec.sources:
        ctx.log(f"{spec.name}: reading {name} for {len(keys)} partition{'s' if len(keys) > 1 else ''}")
        loads[name] = dict(load(spec, name, keys, ctx))
    functions = tuple(s.function for s in spec.sources.values() if isinstance(s, LoadSource))
    for key in keys:
        loaded = {name: loads[name][key] for name in spec.sources}
        frozen = attempted(partial(_frozen, spec, key, loaded, ctx))
        if isinstance(frozen, MlpipeError):
            yield Plan(key, Result, functions=functions, failed=frozen)
            continue
        pieces, outputs = frozen
        yield Plan(
            key,
            partial(_work, spec, key, pieces, outputs, ctx),
            inputs=_upstream_inputs(spec, key, ctx),
            params=_params(spec),
            functions=functions,
            reusable=False,
        )


def _frozen(
    spec: PipelineSpec, key: str, loaded: Mapping[str, Piece | MlpipeError], ctx: Context
) -> tuple[dict[str, Piece], list[Output]]:
    """Every source's rows in the store. Raises the error of the first that could not be read, or cannot be stored."""
    pieces: dict[str, Piece] = {}
    for name, piece in loaded.items():
        if isinstance(piece, MlpipeError):
            raise piece
        pieces[name] = replace(piece, frame=empty_as_null(piece.frame))
    outputs = []
    for name, piece in pieces.items():
        where = f"pipeline {spec.name}, source {name}, partition {key}"
        taken = [c for c in piece.frame.columns if c in RESERVED]
        if taken:
            raise DataError(
                f"the name {taken[0]!r} is taken: columns {', '.join(RESERVED)} are added to every table",
                where=where,
                fix="Rename the column in the source.",
            )
        try:
            outputs.append(stored(ctx.store, name, piece.frame, spec.sources[name].keys))
        except DataError as error:
            raise DataError(error.what, where=where, fix=error.fix, findings=error.findings) from None
    return pieces, outputs


def _upstream_inputs(spec: PipelineSpec, key: str, ctx: Context) -> tuple[Input, ...]:
    """What was read of other assets; which of their materializations, where Dagster says so."""
    unknown = {
        n: Input(asset=s.asset, partition=key, record="", name=n)
        for n, s in spec.sources.items()
        if isinstance(s, UpstreamSource)
    }
    return tuple(ctx.upstream_read.get((n, key), i) for n, i in unknown.items())


def _params(spec: PipelineSpec) -> dict[str, Any]:
    """How each source is read, without its contract and the form of its columns (a matter of validation) and without credentials."""
    shown = {
        n: s.model_dump(exclude={"contract", "url", "timeout", "clean"}, exclude_defaults=True)
        for n, s in spec.sources.items()
    }
    for name, form in time_forms(spec).items():
        shown[name]["time_form"] = form
    return {
        "sources": {
            n: {**d, "type": s.type} for (n, d), s in zip(shown.items(), spec.sources.values(), strict=True)
        }
    }


def _work(
    spec: PipelineSpec, key: str, pieces: Mapping[str, Piece], outputs: list[Output], ctx: Context
) -> Result:
    # A table without rows says nothing about its columns: some readers give them, some give none.
    schema = {
        name: {str(c): kind(piece.frame[c]) for c in piece.frame.columns}
        for name, piece in pieces.items()
        if len(piece.frame)
    }
    previous = _previous(spec, key, ctx)
    findings = [*_changes(schema, previous), *_unplaced(pieces)]
    rows = {o.name: o.rows for o in outputs}
    counts = ", ".join(f"**{n:,}** {name}" for name, n in rows.items())
    return Result(
        outputs=tuple(sorted(outputs, key=lambda o: o.name != spec.primary)),
        findings=tuple(findings),
        data={"rows": rows, HEAD_DATA: {"schema": schema}},
        headline=f"{counts} rows frozen."
        + (f" {len(findings)} finding{'s' if len(findings) > 1 else ''}." if findings else ""),
    )


def empty_as_null(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with columns of nothing but nulls typed as null.

    What type a reader guesses for such a column depends on the rows it saw beside it, and so on how many partitions were read at once.
    """
    empty = {
        c: pd.Series([None] * len(frame), dtype="object", index=frame.index)
        for c in frame.columns
        if not frame[c].notna().any()
    }
    return with_columns(frame, empty) if empty else frame


def kind(column: pd.Series) -> str:
    """Name of a column's type for people: int, float, bool, datetime, string, null, or mixed."""
    if not column.notna().any():
        return "null"
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    names = {
        "integer": "int",
        "floating": "float",
        "boolean": "bool",
        "datetime64": "datetime",
        "mixed-integer-float": "float",
    }
    return names.get(inferred, inferred)


def _previous(spec: PipelineSpec, key: str, ctx: Context) -> Head | None:
    before = spec.partitions.before(key, 1) if spec.partitions.every != "none" else ()
    return ctx.heads.find(f"{spec.name}/raw", before).get(before[-1]) if before else None


def _changes(schema: Schema, previous: Head | None) -> Iterator[Found]:
    """Columns that appeared, vanished or changed type since the partition before; a null column tells no type."""
    old: Schema = dict((previous.data or {}).get("schema", {})) if previous is not None else {}
    since = previous.partition if previous is not None else ""
    for source, columns in schema.items():
        if source not in old:
            continue
        before = old[source]
        for column in dict.fromkeys((*before, *columns)):
            where = f"source {source}, column {column}"
            if column not in before:
                yield Found(what=f"appeared since {since}, as {columns[column]}", where=where)
            elif column not in columns:
                yield Found(
                    what=f"vanished since {since}",
                    where=where,
                    fix="A feature or contract that names it will fail.",
                )
            elif _NUMBER.get(columns[column], columns[column]) != _NUMBER.get(before[column], before[column]):
                if "null" in (columns[column], before[column]):
                    continue
                yield Found(
                    what=f"changed type since {since}: {before[column]} to {columns[column]}", where=where
                )


_NUMBER = {"int": "number", "float": "number", "decimal": "number"}
"""Types that no one tells apart by a partition's values: a day of whole numbers reads as integers."""


def _unplaced(pieces: Mapping[str, Piece]) -> Iterator[Found]:
    for name, piece in pieces.items():
        if piece.unreadable:
            times = "1 event time" if piece.unreadable == 1 else f"{piece.unreadable} event times"
            what = f"{times} of the load cannot be read, such as {', '.join(piece.examples)}"
            fix = "Their rows belong to no partition and stay out. Add a format to the form of the column, or mend the source."
            yield Found(what=what, where=f"source {name}", fix=fix)
        if piece.unplaced:
            yield Found(
                what=f"{piece.unplaced} rows of the load have no event time and belong to no partition",
                where=f"source {name}",
            )


STAGE = Stage("ingest", "raw", "1", plans)
