r"""Tables and their content id: a hash of schema and values, never of the Parquet bytes.

The id does not depend on chunks, dictionary encoding, 32- or 64-bit offsets, the pandas index and metadata, the unit
of a time stamp, how a missing value is spelled, or the version of the writer. It does depend on the names, the types
and the order of the columns, and on the order of the rows unless keys are declared.

Canonical types
    bool, int8 … uint64, float32, float64, string (64-bit offsets), binary (64-bit offsets), date32, time64[ns],
    timestamp[ns] with its zone, duration[ns], decimal128, decimal256, null. A half float becomes float32. A
    categorical column becomes a column of its values. Lists, structs and maps are refused.
Missing values
    NaN is null, everywhere. Minus zero is zero.
Byte layout of the hash (all numbers little-endian, 64-bit unsigned unless said otherwise)
    ``mlpipe-table/1\n``, number of rows, number of columns; then for each column: length of its name in UTF-8, the
    name, length of its type's name, the type's name, number of nulls; when there are nulls, one validity bit a row
    (1 is valid, least significant bit first, the last byte padded with 0); then the values with nulls as 0: one bit
    a row for bool, n + 1 signed offsets that start at 0 and then the bytes for string and binary, nothing for null,
    else the fixed-width values. The id is BLAKE2b with a digest of 20 bytes, in hex, behind ``table-``.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlpipe.errors import DataError, Finding, StoreError, did_you_mean

ID_BYTES = 20
"""Bytes of every content id: 160 bits, so that a clash by accident is out of the question."""

_MAGIC = b"mlpipe-table/1\n"
_UTC = frozenset({"UTC", "utc", "Z", "+00:00", "Etc/UTC", "GMT"})
_NULLABLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def canonical(frame: pd.DataFrame | pa.Table, keys: Sequence[str] = ()) -> pa.Table:
    """Bring a frame into the one form in which it is hashed and stored.

    Parameters
    ----------
    frame
        Any number of rows and columns, also none. The pandas index is dropped.
    keys
        Columns that identify a row. When given, rows are sorted by them, nulls last, and rows that share their keys
        by all other columns in stored order; so the result does not depend on the order of rows. Without keys the
        order of rows is kept and is part of the content.

    Returns
    -------
    pa.Table
        One chunk a column, canonical types, NaN as null, no metadata.

    Raises
    ------
    DataError
        Duplicate column names, names that are no text, a column of mixed or nested type, a time stamp outside the
        years 1677 to 2262, or a key that is no column. All such columns are named at once.
    """
    names = _checked_names(list(frame.column_names if isinstance(frame, pa.Table) else frame.columns))
    missing = [key for key in keys if key not in names]
    if missing:
        raise DataError(
            f"The keys {missing} are no columns of the table.",
            fix=did_you_mean(missing[0], names) + " A key in the pandas index needs reset_index() first.",
        )
    columns, findings = [], []
    for position, name in enumerate(names):
        try:
            columns.append(_canonical_column(name, _arrow_column(name, frame, position)))
        except DataError as error:
            findings.append(Finding(error.what, where=error.where, fix=error.fix))
    if findings:
        raise DataError("A table has columns that cannot be stored.", findings=findings)
    table = pa.table(dict(zip(names, columns, strict=True)))
    return _sorted_by(table, keys) if keys else table


def table_id(table: pa.Table) -> str:
    """Content id of a canonical table: ``table-`` and 40 hex digits. The module says what it covers.

    Raises
    ------
    DataError
        A column has a type that is not canonical.
    """
    digest = hashlib.blake2b(_MAGIC, digest_size=ID_BYTES)
    digest.update(struct.pack("<QQ", table.num_rows, table.num_columns))
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = _one_array(column)
        for text in (name.encode(), _type_name(name, array.type).encode()):
            digest.update(struct.pack("<Q", len(text)) + text)
        digest.update(struct.pack("<Q", array.null_count))
        if pa.types.is_null(array.type):
            continue
        if array.null_count:
            digest.update(_packed(array.is_valid()))
            array = array.fill_null(_zero(array.type))
        _update_with_values(digest.update, array)
    return f"table-{digest.hexdigest()}"


def to_parquet(table: pa.Table) -> bytes:
    """Parquet bytes of a canonical table: zstd, with checksums of pages, without pandas metadata."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(None), sink, compression="zstd", version="2.6", write_page_checksum=True
    )
    return bytes(sink.getvalue())


def from_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Read what `to_parquet` wrote, wholly or only some columns, in the order asked for.

    Raises
    ------
    DataError
        A column in `columns` does not exist.
    StoreError
        The bytes are truncated or damaged, or no Parquet at all.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            unknown = [c for c in columns or () if c not in names]
            if unknown:
                raise DataError(f"The table has no columns {unknown}.", fix=did_you_mean(unknown[0], names))
            table = file.read(columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"A stored table is damaged: {reason}",
            fix="Run `mlpipe store verify`, then restore the object from a backup or ingest it again.",
        ) from error
    table = table.replace_schema_metadata(None)
    return (table if columns is None else table.select(list(columns))).combine_chunks()


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table as a frame of its own memory, whose canonical form is the same table again.

    Integer and boolean columns with nulls get pandas' nullable types (``Int64``, ``boolean``), so that large
    integers stay exact; floats get NaN; dates and decimals are Python objects.
    """
    frame: pd.DataFrame = table.to_pandas(split_blocks=False, date_as_object=True)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count and column.type in _NULLABLE:
            frame[name] = column.to_pandas(types_mapper=_NULLABLE.get)
    # Arrow hands out some columns as read-only views of its own buffers.
    return frame.copy()


def _checked_names(names: list[Any]) -> list[str]:
    odd = [name for name in names if not isinstance(name, str)]
    if odd:
        raise DataError(
            f"Column names must be text. Got {odd[:5]}.",
            fix="Rename: frame.columns = frame.columns.astype(str).",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"Column names appear more than once: {twice[:10]}.", fix="Rename or drop one of each."
        )
    return names


def _arrow_column(name: str, frame: pd.DataFrame | pa.Table, position: int) -> pa.Array:
    if isinstance(frame, pa.Table):
        return _one_array(frame.column(position))
    series = frame.iloc[:, position]
    if series.dtype == object and _is_mixed(series):
        raise _mixed(name, series)
    try:
        converted = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise _mixed(name, series) from error
    return _one_array(converted)


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _is_mixed(series: "pd.Series[Any]") -> bool:
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind == "datetime":
        return len({str(value.tzinfo) for value in series.dropna()}) > 1
    return kind in ("mixed", "mixed-integer")


def _mixed(name: str, series: "pd.Series[Any]") -> DataError:
    examples: dict[str, str] = {}
    for value in series.dropna():
        examples.setdefault(type(value).__name__, repr(value)[:60])
        if len(examples) == 2:
            break
    shown = " and ".join(f"{text} ({kind})" for kind, text in examples.items())
    return DataError(
        f"values of a type that no column can hold, such as {shown or series.dtype}.",
        where=f"column '{name}'",
        fix="Give the column one type, for example with .astype(str) or pd.to_numeric, or drop it.",
    )


def _canonical_column(name: str, array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    target = _canonical_type(name, array.type)
    if array.type != target:
        try:
            array = array.cast(target)
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"values that do not fit {target}: {reason}",
                where=f"column '{name}'",
                fix="Time stamps must lie in the years 1677 to 2262: put null for 'never', or store a date.",
            ) from error
    if pa.types.is_floating(target):
        # x + 0 turns minus zero into zero: they are equal, so a sort could not tell their order.
        array = pc.add(pc.if_else(pc.is_nan(array), pa.scalar(None, target), array), pa.scalar(0, target))
    return array


def _canonical_type(name: str, given: pa.DataType) -> pa.DataType:
    kinds = pa.types
    if kinds.is_string(given) or kinds.is_large_string(given) or kinds.is_string_view(given):
        return pa.large_string()
    if kinds.is_binary(given) or kinds.is_large_binary(given) or kinds.is_binary_view(given):
        return pa.large_binary()
    if kinds.is_fixed_size_binary(given) and not kinds.is_decimal(given):
        return pa.large_binary()
    if kinds.is_timestamp(given):
        return pa.timestamp("ns", "UTC" if given.tz in _UTC else given.tz)
    if kinds.is_duration(given):
        return pa.duration("ns")
    if kinds.is_time(given):
        return pa.time64("ns")
    if kinds.is_date(given):
        return pa.date32()
    if kinds.is_float16(given):
        return pa.float32()
    if kinds.is_decimal(given):
        precision, scale = given.precision, given.scale
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    if kinds.is_integer(given) or kinds.is_floating(given) or kinds.is_boolean(given) or kinds.is_null(given):
        return given
    raise DataError(
        f"values of type {given}, which a table cannot hold.",
        where=f"column '{name}'",
        fix="Spread lists and records over columns of their own, or store them as JSON text.",
    )


def _type_name(name: str, given: pa.DataType) -> str:
    if _canonical_type(name, given) != given:
        raise DataError(
            f"the type {given} is not canonical.", where=f"column '{name}'", fix="Call canonical() first."
        )
    return str(given).removeprefix("large_")


def _sorted_by(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    order = [*keys, *(name for name in table.column_names if name not in keys)]
    sortable = [name for name in order if not pa.types.is_null(table.schema.field(name).type)]
    if not sortable:
        return table
    indices = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in sortable])
    return table.take(indices).combine_chunks()


def _zero(kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_large_string(kind):
        return pa.scalar("", kind)
    if pa.types.is_large_binary(kind):
        return pa.scalar(b"", kind)
    if pa.types.is_decimal(kind):
        return pa.scalar(Decimal(0), kind)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return pa.scalar(0, kind) if not pa.types.is_boolean(kind) else pa.scalar(False)
    return pa.scalar(0, pa.int32() if pa.types.is_date32(kind) else pa.int64()).cast(kind)


def _packed(bits: pa.BooleanArray) -> bytes:
    return np.packbits(bits.to_numpy(zero_copy_only=False), bitorder="little").tobytes()


def _update_with_values(update: Callable[[Any], None], array: pa.Array) -> None:
    if pa.types.is_boolean(array.type):
        update(_packed(array))
        return
    buffers, start, stop = array.buffers(), array.offset, array.offset + len(array)
    if pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type):
        if not len(array):
            update(bytes(8))
            return
        offsets = np.frombuffer(buffers[1], dtype="<i8")[start : stop + 1]
        update(np.ascontiguousarray(offsets - offsets[0]).data)
        if offsets[-1] > offsets[0]:
            update(memoryview(buffers[2])[offsets[0] : offsets[-1]])
        return
    width = array.type.bit_width // 8
    if len(array):
        update(memoryview(buffers[1])[start * width : stop * width])
