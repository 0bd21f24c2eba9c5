"""What an archive of code holds, and what differs between two."""

import difflib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlpipe.errors import StoreError

CONTEXT = 3


@dataclass(frozen=True)
class FileDiff:
    """A file that differs: ``added``, ``removed`` or ``changed``, the lines that came and went, and a unified diff of it."""

    name: str
    change: str
    plus: int
    minus: int
    text: str


def files(data: bytes, archive: str = "") -> dict[str, str]:
    """Text of each file of an archive, by name. What is no UTF-8 is shown with replacement characters.

    Raises
    ------
    StoreError
        It is no archive; `archive` says which.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            return {
                n: held.read(n).decode("utf-8", "replace")
                for n in sorted(held.namelist())
                if not n.endswith("/")
            }
    except (zipfile.BadZipFile, OSError) as error:
        raise StoreError(
            f"the archive of the code is damaged: {error}", where=archive, fix="Restore it from a backup."
        ) from None


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[FileDiff]:
    """Files that differ, by name."""
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        lines = list(
            difflib.unified_diff(
                (before or "").splitlines(),
                (after or "").splitlines(),
                "/dev/null" if before is None else f"a/{name}",
                "/dev/null" if after is None else f"b/{name}",
                n=CONTEXT,
                lineterm="",
            )
        )
        change = "added" if before is None else "removed" if after is None else "changed"
        body = lines[2:]
        yield FileDiff(
            name,
            change,
            sum(line.startswith("+") for line in body),
            sum(line.startswith("-") for line in body),
            "\n".join(lines),
        )
