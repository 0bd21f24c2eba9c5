"""Profiles as bytes: the same profile gives the same bytes on every machine.

A magic, a format number and a JSON header come first, then one block for each column in the order of the
header: a bitmap of the bins that hold rows, their counts in the narrowest unsigned type that holds them all,
their sums, and the hashes that count distinct values. All numbers are little-endian. A day of 50 continuous
columns takes about 0.7 MB, of 50 categories some 20 kB. Nothing is compressed: compressors differ between
versions, and the bytes name the object.
"""

import json
import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipe.core.grid import NAMED
from mlpipe.core.profile import ColumnProfile, Profile
from mlpipe.core.sketch import Distinct, Frequent, Moments
from mlpipe.errors import StoreError

MAGIC = b"MLPF"
FORMAT = 1
_START = struct.Struct("<4sHI")
_MOMENTS = struct.Struct("<q4d")
_WIDTHS = ("<u1", "<u2", "<u4", "<u8")


def to_bytes(profile: Profile) -> bytes:
    """Canonical bytes of a profile. Columns are written by name, so that their order does not matter."""
    columns, blocks = [], []
    for name, column in sorted(profile.columns.items()):
        width = _width(column.counts)
        columns.append(
            {
                "name": name,
                "kind": column.kind,
                "bins": int(column.counts.size),
                "width": width,
                "rows": column.rows,
                "nulls": column.nulls,
                "infinities": list(column.infinities),
                "hashes": int(column.distinct.smallest.size),
                "top": [list(map(list, column.top.counts.items())), column.top.error],
                "unseen": [list(map(list, column.unseen.counts.items())), column.unseen.error],
            }
        )
        blocks.append(_block(column, width))
    header = {
        "grid_version": profile.grid_version,
        "rows": profile.rows,
        "missing": list(profile.missing),
        "extra": list(profile.extra),
        "columns": columns,
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
    return b"".join([_START.pack(MAGIC, FORMAT, len(text)), text, *blocks])


def from_bytes(data: bytes) -> Profile:
    """Inverse of `to_bytes`.

    Raises
    ------
    StoreError
        The bytes are no profile, of another format, cut short or too long.
    """
    if len(data) < _START.size or not data.startswith(MAGIC):
        raise StoreError(
            "These bytes are not a profile.", fix="Restore the object or profile the data again."
        )
    _, found, length = _START.unpack_from(data)
    if found != FORMAT:
        raise StoreError(
            f"This profile has format {found}, and this version of mlpipe reads format {FORMAT}.",
            fix="Use the version of mlpipe that wrote it, or profile the data again.",
        )
    try:
        header = json.loads(data[_START.size : _START.size + length])
        reader = _Reader(data, _START.size + length)
        columns = {entry["name"]: _column(entry, reader) for entry in header["columns"]}
        if reader.place != len(data):
            raise ValueError(f"{len(data) - reader.place} bytes too many")
        missing, extra = tuple(header["missing"]), tuple(header["extra"])
        return Profile(header["grid_version"], columns, header["rows"], missing, extra)
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise StoreError(
            f"This profile is damaged: {error}.",
            fix="Restore the object from a copy, or profile the data again.",
        ) from error


class _Reader:
    """Cuts arrays from bytes, one after the other; too few bytes raise ValueError."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place = data, place

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        found = np.frombuffer(self.data, dtype, count, self.place) if count else np.zeros(0, dtype)
        self.place += found.nbytes
        return found


def _width(counts: NDArray[np.int64]) -> int:
    largest = int(counts.max(initial=0))
    return next(code for code, dtype in enumerate(_WIDTHS) if largest <= np.iinfo(dtype).max)


def _block(column: ColumnProfile, width: int) -> bytes:
    filled = column.counts > 0
    parts = [np.packbits(filled).tobytes(), column.counts[filled].astype(_WIDTHS[width]).tobytes()]
    if column.kind not in NAMED:
        m = column.moments
        sums = column.sums[filled]
        parts.append(np.where(np.isnan(sums), np.nan, sums).astype("<f8").tobytes())
        parts.append(
            _MOMENTS.pack(m.n, *(math.nan if x != x else x for x in (m.mean, m.m2, m.minimum, m.maximum)))
        )
    parts.append(column.distinct.smallest.astype("<u8").tobytes())
    return b"".join(parts)


def _column(entry: dict[str, Any], reader: _Reader) -> ColumnProfile:
    bins, numeric = entry["bins"], entry["kind"] not in NAMED
    filled = np.unpackbits(reader.array("<u1", -(-bins // 8)), count=bins).astype(bool)
    counts, sums, moments = np.zeros(bins, dtype=np.int64), np.zeros(bins if numeric else 0), Moments()
    counts[filled] = reader.array(_WIDTHS[entry["width"]], int(filled.sum()))
    if numeric:
        sums[filled] = reader.array("<f8", int(filled.sum()))
        moments = Moments(*_MOMENTS.unpack(reader.array("<u1", _MOMENTS.size).tobytes()))
    return ColumnProfile(
        kind=entry["kind"],
        counts=counts,
        sums=sums,
        rows=entry["rows"],
        nulls=entry["nulls"],
        infinities=(entry["infinities"][0], entry["infinities"][1]),
        distinct=Distinct(reader.array("<u8", entry["hashes"]).astype(np.uint64)),
        top=Frequent(dict(map(tuple, entry["top"][0])), entry["top"][1]),
        unseen=Frequent(dict(map(tuple, entry["unseen"][0])), entry["unseen"][1]),
        moments=moments,
    )
