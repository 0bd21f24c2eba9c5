"""Ids of objects: a kind and a hash of what the object holds, and how to compute them again from what is stored."""

import hashlib
import re
from dataclasses import dataclass

from mlpipe.errors import StoreError
from mlpipe.stores.bundles import bundle_id
from mlpipe.stores.tables import ID_BYTES, canonical, from_parquet, table_id

_ID = re.compile(r"([a-z][a-z0-9]{0,30})-([0-9a-f]{40})")


@dataclass(frozen=True)
class Put:
    """What lies in the store now: content id, rows (tables only), bytes, checksum, and whether it lay there before."""

    id: str
    rows: int | None
    bytes: int
    sha256: str
    existed: bool


def parse_id(object_id: str) -> tuple[str, str]:
    """Kind and 40 hex digits of an object's id. Raises `StoreError` when it is none: ids come from outside."""
    match = _ID.fullmatch(object_id)
    if match is None:
        raise StoreError(
            f"{object_id[:80]!r} is not the id of an object.", fix="An id is a kind, '-', and 40 hex digits."
        )
    return match[1], match[2]


def bytes_id(data: bytes, kind: str) -> str:
    """Id of bytes: the kind and their BLAKE2b of 20 bytes."""
    return f"{kind}-{hashlib.blake2b(data, digest_size=ID_BYTES).hexdigest()}"


def content_id(data: bytes, kind: str) -> str:
    """Id that stored bytes of a kind must have. Raises `StoreError` when they cannot be read at all."""
    if kind == "table":
        return table_id(canonical(from_parquet(data)))
    return bundle_id(data) if kind == "bundle" else bytes_id(data, kind)


def damaged(object_id: str) -> StoreError:
    """The error for an object whose content is not what its id says."""
    return StoreError(
        f"The object {object_id} is damaged: its content is not what its id says.",
        fix="Run `mlpipe store verify`, then restore it from a backup, or delete the file and make it again.",
    )
