"""How a text file is to be read: its encoding, its separator, and what stands before its line of column names."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mlpipe.errors import SourceError

HEAD = 1 << 18
"""Bytes that the separator is guessed from."""
SEPARATORS = (",", ";", "\t", "|")
LINES = 300
MOST_PREAMBLE = 30
PACKED = (".gz", ".bz2", ".xz")
"""Endings of packed files."""
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*")
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1a\x1b")


@dataclass(frozen=True)
class Dialect:
    """Options of `pandas.read_csv` that differ from its defaults, and what was noticed, in sentences."""

    options: dict[str, Any]
    notes: tuple[str, ...]


def dialect_of(file: Path, where: str) -> Dialect:
    """Look at a text file.

    Raises
    ------
    SourceError
        It is empty, is no text, or cannot be unpacked.
    """
    options: dict[str, Any] = {}
    notes: list[str] = []
    try:
        with opened(file) as stream:
            head = stream.read(HEAD)
            encoding = _encoding(head, stream)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise SourceError(
            f"the file {file} cannot be read: {error}",
            where=where,
            fix="It may be cut short or packed in another way.",
        ) from None
    if encoding is None or not head:
        what = "is empty" if not head else "is no text: it holds bytes that no text has"
        raise SourceError(
            f"the file {file} {what}", where=where, fix="Name a CSV, Parquet or JSON-lines file."
        )
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
    if not text.strip():
        raise SourceError(
            f"the file {file} is empty", where=where, fix="Name a file with a line of column names."
        )
    if encoding != "utf-8":
        options["encoding"] = encoding
        notes.append(f"The text is {encoding}.")
    skipped, separator = _layout(text)
    if skipped:
        options["skiprows"] = skipped
        notes.append(f"{skipped} lines before the column names are skipped.")
    if separator != ",":
        options["sep"] = separator
        notes.append(f"Columns are separated by {separator!r}.")
    rows = _rows(text, separator, skipped)
    if (
        rows
        and len(rows[0]) > 1
        and all(cell.startswith(" ") for row in rows[:LINES] for cell in row[1:] if cell)
    ):
        options["skipinitialspace"] = True
        notes.append("Blanks behind the separators are skipped.")
    if len(rows) > 1 and all(len(r) == len(rows[0]) + 1 and not r[-1].strip() for r in rows[1:]):
        options["index_col"] = False
        notes.append("Each line ends with one separator too many.")
    return Dialect(options, tuple(notes))


@contextmanager
def opened(file: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked."""
    packed: dict[str, Callable[[Path, str], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    with packed.get(file.suffix.lower(), Path.open)(file, "rb") as stream:
        yield stream


def _encoding(head: bytes, rest: IO[bytes]) -> str | None:
    """Encoding of a text, of which all is looked at; None for what is none."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if b"\0" in head:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        return (
            "utf-16-le"
            if odd > len(head) // 3 > even
            else "utf-16-be"
            if even > len(head) // 3 > odd
            else None
        )
    if sum(byte in _CONTROL for byte in head) > len(head) // 200:
        return None
    decoder, piece, high = codecs.getincrementaldecoder("utf-8")(), head, set[int]()
    valid = True
    while piece:
        if valid:
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                valid = False
        if not valid:
            high |= {byte for byte in set(piece) if byte > 127}
        piece = rest.read(1 << 20)
    if valid:
        return "utf-8"
    return "latin-1" if high & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "cp1252"


def _layout(text: str) -> tuple[int, str]:
    """Lines before the column names, and the separator."""
    lines = text.splitlines()
    best: tuple[float, int, int, str] = (0.0, 1, 0, ",")
    for separator in SEPARATORS:
        counts = [len(r) for r in _rows(text, separator, 0)]
        common = Counter(c for c in counts if c > 1).most_common(1)
        if not common:
            continue
        width = common[0][0]
        skipped = _preamble(lines, separator, width)
        rows = _rows(text, separator, skipped)
        share = sum(len(r) in (width, len(rows[0])) for r in rows) / len(rows) if rows else 0.0
        # A separator of the data alone, such as a decimal comma, does not stand among the column names.
        share *= bool(rows) and abs(len(rows[0]) - width) <= 1
        # Names are no numbers: numbers in the first line are a sign that it was cut in the wrong places, or skipped.
        share *= 0.5 if rows and any(_NUMBER.fullmatch(cell.strip()) for cell in rows[0]) else 1.0
        best = max(best, (round(share, 2), width, -skipped, separator))
    if best[0]:
        return -best[2], best[3]
    return _preamble(lines, ",", 1), ","


def _preamble(lines: Sequence[str], separator: str, width: int) -> int:
    """Lines before the column names: comments, and lines with fewer parts than a row has."""
    for number, line in enumerate(lines[:MOST_PREAMBLE]):
        parts = next(csv.reader([line], delimiter=separator), [])
        enough = len(parts) >= max(width - 1, 2) if width > 1 else bool(line.strip())
        if (
            enough
            and not (line.startswith("#") and len(parts) < width)
            and not (width == 1 and line.startswith("#"))
        ):
            return number
    return 0


def _rows(text: str, separator: str, skipped: int) -> list[list[str]]:
    """First rows of a text; the last one may be cut short and is left out unless it is the only one."""
    body = "\n".join(text.splitlines()[skipped:]) if skipped else text
    rows = []
    try:
        for row in csv.reader(io.StringIO(body, newline=""), delimiter=separator):
            if row:
                rows.append(row)
            if len(rows) > LINES:
                break
    except csv.Error:
        return rows
    return rows[:-1] if len(rows) > 2 else rows
