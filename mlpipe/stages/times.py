"""Columns of time: read as instants in UTC, whatever a source gives."""

from zoneinfo import ZoneInfo

import pandas as pd

from mlpipe.errors import DataError


def instants(values: pd.Series, zone: str, where: str) -> pd.Series:
    """Instants in UTC, from datetimes (with or without a zone), ISO text, or dates.

    A local time that happens twice (autumn) is the first of the two; one that never happens (spring) moves to the next that does. Nulls
    stay null.

    Raises
    ------
    DataError
        When a value is no time; with examples.
    """
    if pd.api.types.is_bool_dtype(values) or (pd.api.types.is_numeric_dtype(values) and values.notna().any()):
        example = values.dropna().iloc[0]
        raise DataError(
            f"event times are numbers ({example!r}), not times",
            where=where,
            fix="Say what they are: give the column a form in 'clean', such as {to: time, formats: [epoch_s]}.",
        )
    if pd.api.types.is_numeric_dtype(values):
        return pd.Series(pd.NaT, index=values.index, dtype="datetime64[us, UTC]")
    parsed = values if pd.api.types.is_datetime64_any_dtype(values) else _parse(values, zone, where)
    if getattr(parsed.dtype, "tz", None) is None:
        first = [True] * len(parsed)
        parsed = parsed.dt.tz_localize(
            ZoneInfo(zone), ambiguous=pd.array(first, dtype=bool).to_numpy(), nonexistent="shift_forward"
        )
    utc: pd.Series = parsed.dt.tz_convert("UTC").dt.as_unit("us")
    return utc


_ZONED = r"[T ]\d\d[\d:.,]*\s?(?:[Zz]|[+-]\d\d(?::?\d\d)?(?::\d\d)?)$"
"""A time of day with an offset: ``Z``, ``+01:00``, ``+0100``, or ``+01`` as Postgres writes it. A date alone has none."""


def _parse(values: pd.Series, zone: str, where: str) -> pd.Series:
    text = values.dropna().astype(str)
    # Pandas takes the words now and today for times: the clock of whoever reads.
    words = text.index[~text.str.match(r"\s*\d")]
    given, values = values, values.mask(values.index.isin(words)) if len(words) else values
    zoned = text.str.contains(_ZONED, regex=True)
    parsed = pd.to_datetime(
        values, errors="coerce", format="ISO8601", utc=bool(len(zoned)) and bool(zoned.any())
    )
    bad = given[parsed.isna() & given.notna()]
    if len(bad):
        examples = ", ".join(repr(str(v)[:40]) for v in bad.iloc[:3])
        raise DataError(
            f"{len(bad)} event times cannot be read, such as {examples}",
            where=where,
            fix="Write ISO times (2024-01-31T06:00), or say how they are spelled: {to: time, formats: [iso, '%d.%m.%Y']} in 'clean'.",
        )
    if len(zoned) and zoned.any() and not zoned.all():
        raise DataError(
            "some event times have a zone and some have none",
            where=where,
            fix="Give all of them a zone, or none; or give the column the form {to: time} in 'clean', which reads both.",
        )
    return pd.Series(parsed, index=values.index)
