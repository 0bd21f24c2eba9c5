"""What a column holds, and in which spellings: numbers, times, text, yes and no, lists, or nothing."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlpipe.scaffold.times import Times, times_of

Kind = Literal["number", "bool", "time", "text", "list", "nothing"]
NOTHING = frozenset(
    {
        "",
        "-",
        "--",
        "---",
        "?",
        "??",
        ".",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "nan",
        "null",
        "none",
        "nil",
        "(null)",
        "missing",
        "undefined",
        "\\n",
    }
)
"""Spellings of no value, in small letters."""
SENTINELS = (-9, -99, -999, -9999, -99999, -999999, 999, 9999, 99999, 999999)
"""Numbers that often stand for no value."""
PAIRS = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"))
"""Two words for no and yes, in small letters."""
MARKS: tuple[tuple[str, str], ...] = (
    (".", ""),
    (".", ","),
    (",", ""),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
)
"""Decimal mark and thousands separator, the likelier first."""
TRIED = 5_000
"""Different words that decimal marks are tried on, at most."""
SIGNS = ("$", "€", "£", "¥", "₹", "%", "EUR", "USD", "GBP", "CHF", "JPY")
"""What stands around numbers and means nothing."""
FEW = 5
"""At most this many different words in a column of numbers are spellings of no value."""
STRAY = 0.01
"""At most this share of a column's cells may be of another kind than the rest: their rows break the contract."""
_BLANKS = re.compile(r"[\u00a0\u202f]")


@dataclass(frozen=True)
class Cells:
    """A column.

    Attributes
    ----------
    kind
        What it holds.
    values
        Its values: float64, True/False/null as float64 too, instants in UTC, or text; null where there is none.
    form
        Settings of ``clean`` for it; empty when it can be taken as it is read.
    notes
        What was noticed, in sentences.
    times
        How its times are read.
    endless
        Whether some of its numbers are infinite.
    """

    name: str
    kind: Kind
    values: "pd.Series[Any]"
    form: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    times: Times | None = None
    endless: bool = False

    @property
    def nulls(self) -> float:
        """Share of cells without a value, in [0, 1]."""
        return float(self.values.isna().mean()) if len(self.values) else 1.0

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return int(self.values.nunique(dropna=True))


def cells_of(column: "pd.Series[Any]", name: str, *, time: bool = False) -> Cells:
    """Look at one column as it was read; `time` says that somebody calls it a column of times."""
    if not column.notna().any():
        return Cells(name, "nothing", column)
    if time or not pd.api.types.is_numeric_dtype(column):
        found = times_of(column, name, told=time)
        if found is not None:
            return _timely(name, found)
    if pd.api.types.is_bool_dtype(column) or pd.api.types.infer_dtype(column.dropna()) == "boolean":
        return Cells(name, "bool", column.astype("object").map({True: 1.0, False: 0.0}).astype("float64"))
    if pd.api.types.is_numeric_dtype(column):
        found = times_of(column, name)
        return _timely(name, found) if found is not None else _numeric(column, name)
    if pd.api.types.infer_dtype(column, skipna=True) in (
        "decimal",
        "mixed-integer-float",
        "integer",
        "floating",
    ):
        return _numeric(pd.to_numeric(column, errors="coerce"), name)
    return _textual(column, name)


def _timely(name: str, found: Times) -> Cells:
    form = {"to": "time", "formats": list(found.formats)} if found.formats else {}
    notes = [found.note] if found.note else []
    if found.unreadable:
        notes.append(f"{found.unreadable:,} cells hold no time.")
    return Cells(name, "time", found.values, form, tuple(notes), found)


def _numeric(column: "pd.Series[Any]", name: str) -> Cells:
    values = pd.Series(column.to_numpy(dtype="float64", na_value=np.nan), index=column.index)
    endless = int(np.isinf(values).sum())
    values = values.where(np.isfinite(values))
    if not values.notna().any():
        return Cells(name, "nothing", values)
    notes = [f"{endless:,} cells are infinite: their rows break the contract."] if endless else []
    stands = sentinels(values)
    if not stands:
        return Cells(name, "number", values, {}, tuple(notes), endless=bool(endless))
    shown = " and ".join(f"{s:g}" for s in stands)
    count = int(values.isin(stands).sum())
    note = f"{shown} ({count:,} times) is taken as no value."
    return Cells(
        name,
        "number",
        values.mask(values.isin(stands)),
        {"to": "number", "null": stands},
        (*notes, note),
        endless=bool(endless),
    )


def sentinels(values: "pd.Series[Any]") -> list[int]:
    """Numbers that stand for no value: of the usual ones those that come again and again, far from all others."""
    counts = values.value_counts()
    usual = [s for s in SENTINELS if counts.get(s, 0) >= max(2, 0.001 * len(values))]
    rest = values[~values.isin(usual)].dropna()
    if not usual or len(rest) < 3:
        return []
    low, high, spread = rest.min(), rest.max(), max(float(rest.max() - rest.min()), 1.0)
    return [
        s for s in usual if (s < low and low - s > min(spread, 5)) or (s > high and s - high > 5 * spread)
    ]


def _textual(column: "pd.Series[Any]", name: str) -> Cells:
    # Words are looked at once each, however often they stand.
    codes, different = pd.factorize(column.astype("object"), use_na_sentinel=True)
    spelled = np.array([*map(str, different), None], dtype="object")
    stripped = np.array([*(w.strip() for w in spelled[:-1]), None], dtype="object")
    raw: pd.Series[Any] = pd.Series(spelled[codes], index=column.index, dtype="object")
    text: pd.Series[Any] = pd.Series(stripped[codes], index=column.index, dtype="object")
    counts: Counter[str] = Counter()
    for word, count in zip(
        stripped, np.bincount(codes[codes >= 0], minlength=len(different)).tolist(), strict=False
    ):
        counts[word] += count
    empty = sorted(w for w in counts if w.lower() in NOTHING)
    kept = {w: n for w, n in counts.items() if w.lower() not in NOTHING}
    if not kept:
        return Cells(name, "nothing", text.where(~text.isin(empty)))
    notes = [_taken(empty, counts)] if any(empty) else []
    null = {"null": empty} if empty else {}
    if _are_lists(list(kept)):
        return Cells(name, "list", text, {}, tuple(notes))
    found = times_of(text.where(~text.isin(empty)), name) if empty else None
    if found is not None:
        timely = _timely(name, found)
        return Cells(
            name, "time", found.values, {"to": "time", **timely.form, **null}, (*notes, *timely.notes), found
        )
    numbers = _as_numbers(text, counts, kept, empty, name)
    if numbers is not None:
        return numbers
    words = text.where(~text.isin(empty))
    form, more = spellings(raw, kept)
    if empty or form:
        form = {"to": "text", **null, **form}
    if form.get("case") == "lower":
        words = words.str.lower()
    pair = next((p for p in PAIRS if {w.lower() for w in kept} == set(p)), None)
    if pair is not None:
        words = words.str.lower()
        truth = words.map({pair[0]: 0.0, pair[1]: 1.0}).astype("float64")
        made = {"to": "bool", "truthy": _spelled(kept, pair[1]), "falsy": _spelled(kept, pair[0]), **null}
        return Cells(name, "bool", truth, made, tuple(notes))
    return Cells(name, "text", words, form, (*notes, *more))


def _spelled(kept: dict[str, int], word: str) -> list[str]:
    return sorted(w for w in kept if w.lower() == word)


def _taken(words: Sequence[str], counts: Counter[str]) -> str:
    shown = ", ".join(repr(w) for w in words[:FEW])
    return f"{shown} ({sum(counts[w] for w in words):,} times) is taken as no value."


def spellings(raw: "pd.Series[Any]", kept: dict[str, int]) -> tuple[dict[str, Any], list[str]]:
    """Settings that bring the spellings of one word together, and a sentence about it; empty when each has one."""
    form: dict[str, Any] = {}
    notes = []
    padded = raw.dropna()
    blanks = int((padded != padded.map(str.strip)).sum())
    if blanks:
        form["strip"] = True
        notes.append(f"Blanks around {blanks:,} values are taken off.")
    small = Counter(w.lower() for w in kept)
    twice = [w for w, n in small.items() if n > 1]
    if twice and len(small) <= 1000:
        form["case"] = "lower"
        notes.append(
            f"Capitals make no difference: {', '.join(sorted(w for w in kept if w.lower() == twice[0]))} are one."
        )
    return form, notes


def _as_numbers(
    text: "pd.Series[Any]", counts: Counter[str], kept: dict[str, int], empty: list[str], name: str
) -> Cells | None:
    """The column as numbers, when nearly all of its words are; None otherwise."""
    words = pd.Series(list(kept), dtype="object")
    signs = [
        s for s in SIGNS if sum(w.lstrip("+-").startswith(s) or w.endswith(s) for w in kept) > len(kept) / 2
    ]
    bare = words.map(lambda word: _unsigned(word, signs)) if signs else words
    weights = np.array([kept[w] for w in words])
    total = int(weights.sum())
    # Which marks are used shows on some of the words; all of them are read once.
    some = bare if len(bare) <= TRIED else bare.sample(TRIED, random_state=0)
    shares = [int(weights[some.index[numbers_of(some, *marks).notna()]].sum()) for marks in MARKS]
    decimal, thousands = MARKS[int(np.argmax(shares))]
    if max(shares) < weights[some.index].sum() / 2:
        return None
    numbers = numbers_of(bare, decimal, thousands)
    read = int(weights[numbers.notna()].sum())
    stray = [w for w, n in zip(words, numbers, strict=True) if pd.isna(n)]
    strays = total - read
    if read < total / 2 or (len(stray) > FEW and strays > STRAY * total):
        return None
    notes = []
    form: dict[str, Any] = {"to": "number"}
    if decimal != ".":
        form["decimal"] = decimal
        notes.append("The decimal mark is a comma.")
    if thousands:
        form["thousands"] = thousands
        notes.append(f"Thousands are separated by {thousands!r}.")
    if signs:
        form["marks"] = signs
        notes.append(f"{' and '.join(map(repr, signs))} around the numbers is left off.")
    few = len(stray) <= FEW and strays > 1 and all(not re.search(r"\d", w) for w in stray)
    empty = sorted([*empty, *stray]) if few else empty
    if empty:
        form["null"] = empty
        if any(empty):
            notes.append(_taken(empty, counts))
    if stray and not few:
        shown = ", ".join(repr(w) for w in stray[:FEW])
        notes.append(f"{strays:,} cells are no numbers, such as {shown}: their rows break the contract.")
    table = dict(zip(words, numbers, strict=True))
    values = text.map(table, na_action="ignore").astype("float64")
    plain = _numeric(values, name)
    if plain.form:
        form["null"] = [*form.get("null", []), *plain.form["null"]]
        notes += plain.notes
    return Cells(name, "number", plain.values, form, tuple(notes))


def _unsigned(word: str, signs: Sequence[str]) -> str:
    minus = word[:1] if word[:1] in ("-", "+") else ""
    rest = word[len(minus) :].strip()
    for sign in signs:
        rest = rest.removeprefix(sign).removesuffix(sign).strip()
    return minus + rest


def numbers_of(words: "pd.Series[Any]", decimal: str, thousands: str) -> "pd.Series[Any]":
    """Numbers of words under a decimal mark and a thousands separator; null for what is none."""
    clean = words.map(lambda w: _BLANKS.sub(" ", w))
    mark = re.escape(decimal)
    plain = rf"[+-]?\d+(?:{mark}\d*)?(?:[eE][+-]?\d+)?|[+-]?{mark}\d+"
    whole = plain
    if thousands:
        whole = rf"[+-]?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{mark}\d*)?|{plain}"
    fits = clean.str.fullmatch(whole)
    bare = clean.where(fits)
    if thousands:
        bare = bare.str.replace(thousands, "", regex=False)
    return pd.to_numeric(bare.str.replace(decimal, ".", regex=False), errors="coerce")


def _are_lists(words: Sequence[str]) -> bool:
    """Whether most words are lists or records."""
    some = words[:500]
    held = [w for w in some if w[:1] in "[{(" and w[-1:] in "]})" and len(w) > 1]
    if len(held) < 0.8 * len(some):
        return False
    return sum(map(_is_json, held)) > 0.5 * len(held) or all(w[0] == "[" for w in held)


def _is_json(word: str) -> bool:
    try:
        return isinstance(json.loads(word.replace("'", '"')), (list, dict))
    except (ValueError, RecursionError):
        return False
