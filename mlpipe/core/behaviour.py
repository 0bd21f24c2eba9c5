"""How a cell is changed in a test of behaviour, and which rows a model then answers otherwise than it should.

Invariance: the answer stays. Directional: the score does not move the wrong way. Minimum functionality: a simple row gets the answer
that everybody would give. The three kinds are those of Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with
CheckList" (ACL 2020); the text changes are theirs, and numbers and categories are treated likewise.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.core.scored import Floats
from mlpipe.errors import DataError

Kind = Literal["minimum", "invariance", "directional"]
Direction = Literal["up", "down", "same"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
OPERATIONS = ("set", "add", "scale", "swap", "typo", "case", "synonyms", "names")
"""What a change may be called. ``add`` adds a number to numbers, and a phrase behind text."""
CASES: Mapping[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "swap": str.swapcase,
}
OF_NUMBERS, OF_TEXT = ("scale",), ("typo", "case", "synonyms", "names")
MOST_TYPOS = 20
EXACT = 1e-9
"""Scores of the same row in frames of another length may be rounded otherwise: less than this is no difference."""
_SHORT = re.compile(r"\s*([+\-*/])\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*", re.ASCII)

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Change:
    """What becomes of a cell: one of `OPERATIONS`, and what it needs."""

    operation: str
    value: Any = None

    def suits(self, numeric: bool) -> str:
        """Why this cannot be done to a column of numbers, or of text; empty when it can."""
        number = isinstance(self.value, (int, float)) and not isinstance(self.value, bool)
        if numeric:
            if self.operation in OF_TEXT or (self.operation == "add" and not number):
                return f"'{self.operation}' changes text, and the feature holds numbers"
            if self.operation == "set" and isinstance(self.value, str):
                return f"it is set to the text {self.value!r}, and the feature holds numbers"
            if self.operation == "swap" and any(
                isinstance(v, str) for pair in self.value.items() for v in pair
            ):
                return "text is swapped, and the feature holds numbers"
            return ""
        if self.operation in OF_NUMBERS or (self.operation == "add" and number):
            return f"'{self.operation}' changes numbers, and the feature holds text"
        return ""


def parse_change(given: Any) -> Change:
    """A change as it may be written.

    Parameters
    ----------
    given
        ``"+30"``, ``"-5"``, ``"*1.1"`` or ``"/2"``: added or multiplied. A mapping of one operation: ``{set: 5}``, ``{add: 30}``,
        ``{add: " please"}``, ``{scale: 1.1}``, ``{swap: [a, b]}`` or ``{swap: {a: b}}``, ``{typo: 1}`` (letters exchanged with their
        neighbour), ``{case: upper}``, ``{synonyms: {late: [delayed]}}`` (whole words), ``{names: [Ana, Ben]}`` (each replaced by another
        of them). Anything else, null included, is what the cell is set to.

    Raises
    ------
    ValueError
        It is none of these; saying what would be.
    """
    if isinstance(given, str) and (short := _SHORT.fullmatch(given)):
        sign, number = short[1], float(short[2])
        if sign in "+-":
            return Change("add", number if sign == "+" else -number)
        if sign == "/" and number == 0:
            raise ValueError("nothing can be divided by 0")
        return Change("scale", number if sign == "*" else 1 / number)
    if not isinstance(given, Mapping):
        return Change("set", _cell(given))
    if len(given) != 1 or next(iter(given)) not in OPERATIONS:
        raise ValueError(
            f"a change is one of {', '.join(OPERATIONS)}; got {', '.join(map(repr, given)) or 'none'}"
        )
    ((operation, value),) = given.items()
    return Change(operation, _CHECKS[operation](value))


def _cell(value: Any) -> Any:
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise ValueError(f"a cell is set to a number, a text or null; got a {type(value).__name__}")
    return value


def _added(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or value == "":
        raise ValueError("'add' takes a number, or a phrase")
    return value


def _factor(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("'scale' takes a number")
    return float(value)


def _swapped(value: Any) -> dict[Any, Any]:
    if isinstance(value, (list, tuple)) and len(value) == 2 and value[0] != value[1]:
        return {value[0]: value[1], value[1]: value[0]}
    if isinstance(value, Mapping) and value and all(_cell(v) is not None for v in value.values()):
        return dict(value)
    raise ValueError("'swap' takes two values that change places, or a mapping of values to others")


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_TYPOS:
        raise ValueError(f"'typo' takes how many typos are made, from 1 to {MOST_TYPOS}")
    return value


def _case(value: Any) -> str:
    # A YAML reader may make no word of it.
    if value not in CASES:
        raise ValueError(f"'case' is one of {', '.join(CASES)}; got {value!r}")
    return str(value)


def _synonyms(value: Any) -> dict[str, tuple[str, ...]]:
    made = {}
    for word, others in value.items() if isinstance(value, Mapping) else ():
        many = (
            (others,)
            if isinstance(others, str)
            else tuple(others)
            if isinstance(others, (list, tuple))
            else ()
        )
        if not many or not all(isinstance(o, str) for o in many):
            raise ValueError(f"'synonyms' maps a word to another or to a list of others; see {word!r}")
        made[str(word).lower()] = many
    if not made:
        raise ValueError("'synonyms' maps words to other words")
    return made


def _names(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, (list, tuple))
        or len(set(value)) < 2
        or not all(isinstance(v, str) and v for v in value)
    ):
        raise ValueError("'names' takes at least two names, each of which is replaced by another of them")
    return tuple(value)


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "set": _cell,
    "add": _added,
    "scale": _factor,
    "swap": _swapped,
    "typo": _count,
    "case": _case,
    "synonyms": _synonyms,
    "names": _names,
}


def changed(
    column: "pd.Series[Any]", change: Change, rng: np.random.Generator
) -> tuple["pd.Series[Any]", Bools]:
    """A column after a change, and which cells came out otherwise.

    Parameters
    ----------
    column
        Shape (n,): numbers, or text. A null stays one, unless it is set.
    change
        What suits the column; see `Change.suits`.
    rng
        For typos, synonyms and names, which are drawn.

    Returns
    -------
    column : Series
        Numbers come as float64.
    mask : ndarray of bool
        Shape (n,).

    Raises
    ------
    DataError
        The change does not suit the column.
    """
    numeric = pd.api.types.is_numeric_dtype(column)
    problem = change.suits(numeric)
    if problem:
        raise DataError(problem, where=f"feature {column.name}", fix="Change it as its kind can be changed.")
    if numeric:
        before = column.to_numpy(dtype="float64", na_value=np.nan)
        after = _numbers(before, change)
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        return pd.Series(after, index=column.index, name=column.name), ~same
    cells = column.astype(object).where(column.notna(), None)
    made = pd.Series(
        [_text(c, change, rng) for c in cells], index=column.index, name=column.name, dtype=object
    )
    mask = np.array([a != b for a, b in zip(cells, made, strict=True)], dtype=bool)
    return made.astype(column.dtype) if made.notna().any() else made, mask


def _numbers(values: Floats, change: Change) -> Floats:
    if change.operation == "set":
        return np.full(len(values), np.nan if change.value is None else float(change.value))
    if change.operation == "add":
        return np.asarray(values + change.value)
    if change.operation == "scale":
        return np.asarray(values * change.value)
    out = values.copy()
    for old, new in change.value.items():
        out[values == float(old)] = float(new)
    return out


def _text(cell: Any, change: Change, rng: np.random.Generator) -> Any:
    operation, value = change.operation, change.value
    if operation == "set":
        return None if value is None else str(value)
    if cell is None:
        return None
    text = str(cell)
    if operation == "swap":
        return {str(k): str(v) for k, v in value.items()}.get(text, text)
    if operation == "add":
        return text + value
    if operation == "case":
        return CASES[value](text)
    if operation == "typo":
        return _typos(text, value, rng)
    return _replaced(text, change, rng)


def _typos(text: str, count: int, rng: np.random.Generator) -> str:
    """Text in which neighbouring letters that differ changed places, `count` times or as often as there are such."""
    letters = list(text)
    for _ in range(count):
        places = [i for i in range(len(letters) - 1) if letters[i] != letters[i + 1]]
        if not places:
            break
        i = places[int(rng.integers(len(places)))]
        letters[i], letters[i + 1] = letters[i + 1], letters[i]
    return "".join(letters)


def _replaced(text: str, change: Change, rng: np.random.Generator) -> str:
    """Text with whole words replaced: synonyms whatever their case, which their replacement takes over; names as they are."""
    if change.operation == "synonyms":
        words, flags = change.value, re.IGNORECASE
    else:
        words = {n: tuple(o for o in change.value if o != n) for n in change.value}
        flags = re.NOFLAG
    longest_first = sorted(words, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", flags)

    def other(match: re.Match[str]) -> str:
        found = match[0]
        options = words[found.lower() if change.operation == "synonyms" else found]
        chosen = str(options[int(rng.integers(len(options)))])
        if change.operation == "names" or found.islower():
            return chosen
        return chosen.upper() if found.isupper() and len(found) > 1 else chosen[:1].upper() + chosen[1:]

    return pattern.sub(other, text)


def answers(scores: Floats, threshold: float | None) -> NDArray[Any]:
    """What a model decides: the class of the greatest score, positive from a threshold (0.5 without one), shape (n,)."""
    if scores.ndim == 2:
        return np.asarray(scores.argmax(axis=1))
    return np.asarray(scores >= (0.5 if threshold is None else threshold))


def moved(before: Floats, after: Floats, tolerance: float) -> Bools:
    """Rows of which some score changed by more than `tolerance`; shapes (n,) or (n, k)."""
    apart = np.abs(after - before)
    return np.asarray((apart.max(axis=1) if apart.ndim == 2 else apart) > tolerance + EXACT)


def wrong_way(before: Floats, after: Floats, direction: Direction, tolerance: float) -> Bools:
    """Rows whose score moved the wrong way by more than `tolerance`.

    Parameters
    ----------
    before, after
        Shape (n,).
    direction
        ``up``: it may not fall. ``down``: it may not rise. ``same``: neither.
    tolerance
        At least 0, in units of the score.
    """
    if direction == "same":
        return moved(before, after, tolerance)
    gain = (after - before) if direction == "up" else (before - after)
    return np.asarray(gain < -(tolerance + EXACT))
