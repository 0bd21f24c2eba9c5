"""Reading from databases: a table by its event time, or a query of the user's own."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from mlpipe.core.form import EPOCHS
from mlpipe.errors import DataError, SourceError, did_you_mean
from mlpipe.spec.calendar import Window
from mlpipe.spec.cleaning import Clean
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import SqlSource
from mlpipe.stages.passing import passing

MOST_ENDS = 1000
MARGIN = timedelta(days=1)
"""A table is asked for this much more on both sides, and cut exactly afterwards: local times that happen twice or never, and text in
whatever spelling, cannot be compared exactly by the database."""


def query(source: SqlSource, spec: PipelineSpec, window: Window | None, where: str) -> pd.DataFrame:
    """Rows of a table or query in a stretch of time; of a table somewhat more.

    Raises
    ------
    TransientError
        When the database does not answer, which may pass.
    SourceError, DataError
        When the query is wrong, or a table or column does not exist.
    """
    with connected(
        source.url, spec.base_dir, source.timezone or spec.partitions.timezone, where
    ) as connection:
        statement = _statement(source, spec, window, connection, where)
        return queried(statement, connection)


def queried(statement: Any, connection: Any) -> pd.DataFrame:
    """Rows of a statement; whole numbers with nulls stay whole."""
    frame: pd.DataFrame = pd.read_sql(statement, connection, dtype_backend="numpy_nullable")
    return frame


def extremes(source: SqlSource, spec: PipelineSpec, where: str, share: float) -> tuple[pd.Series, int] | None:
    """The least and the greatest event times of a table, as the database gives them; None for a query, and for a table without rows.

    Parameters
    ----------
    share
        Of all rows, how many besides the very least and the very greatest are given, at either end; at most `MOST_ENDS`.

    Returns
    -------
    tuple of Series and int
        Times, and how many besides the first and the last there are at either end. All different times, and 0, where their declared form
        is such that the database cannot tell which is the least.

    Raises as `query`.
    """
    import sqlalchemy as sa

    if source.table is None or source.event_time is None:
        return None
    with connected(
        source.url, spec.base_dir, source.timezone or spec.partitions.timezone, where
    ) as connection:
        form = source.clean.get(source.event_time)
        time = _time(_table(source, connection, where), source.event_time, form, where)
        order = _order(time, form, connection)
        if connection.dialect.name == "sqlite" and order != "number":
            time = sa.type_coerce(time, sa.String)
        if not order or (form is not None and form.null):
            # Least and greatest mean nothing where times are not in order, or where one of them stands for no value.
            every = connection.execute(sa.select(time).distinct().where(time.is_not(None))).scalars().all()
            return (pd.Series(list(every)), 0) if every else None
        least, greatest, count = connection.execute(
            sa.select(sa.func.min(time), sa.func.max(time), sa.func.count(time))
        ).one()
        few = min(int(share * count), MOST_ENDS)
        ends = []
        for way in (time.asc(), time.desc()) if few else ():
            known = sa.select(time).where(time.is_not(None)).order_by(way).limit(few + 1)
            ends.append(list(connection.execute(known).scalars()))
    if not few:
        return None if least is None else (pd.Series([least, greatest]), 0)
    return pd.Series([*ends[0], *reversed(ends[1])]), few


def counted(source: SqlSource, spec: PipelineSpec, where: str) -> int | None:
    """Rows of a table; None for a query. Raises as `query`."""
    import sqlalchemy as sa

    if source.table is None:
        return None
    with connected(
        source.url, spec.base_dir, source.timezone or spec.partitions.timezone, where
    ) as connection:
        table = _table(source, connection, where)
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


@contextmanager
def connected(url: str, base_dir: Path, zone: str, where: str) -> Iterator[Any]:
    """A connection; whatever the database says against what is done with it becomes one sentence.

    Raises
    ------
    TransientError
        When the database does not answer, which may pass.
    SourceError
        When the URL cannot be used, or a statement is wrong.
    """
    import sqlalchemy as sa

    engine = _engine(_url(url, str(base_dir), where))
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                # Local bounds then mean the same against columns with a time zone and without.
                connection.execute(sa.select(sa.func.set_config("TimeZone", zone, False)))
            yield connection
    except (pd.errors.DatabaseError, sa.exc.SQLAlchemyError, OSError, ValueError, TypeError) as error:
        # pandas wraps what the query raises, but not what the connection raises.
        wrapped = isinstance(error, pd.errors.DatabaseError)
        raise _said((wrapped and error.__cause__) or error, where) from None


def _said(error: BaseException, where: str) -> SourceError:
    """What the database said, as something that may pass or as something to mend."""
    text = (str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__])[0]
    passes = passing(error)
    if passes is not None:
        made = passes.raised(f"the database did not answer: {text}", where)
        made.fix = f"Is it running, and is 'url' right? {made.fix}"
        return made
    return SourceError(f"the query failed: {text}", where=where, fix="Mend 'table', 'query' or 'event_time'.")


def _statement(
    source: SqlSource, spec: PipelineSpec, window: Window | None, connection: Any, where: str
) -> Any:
    import sqlalchemy as sa

    zone = ZoneInfo(source.timezone or spec.partitions.timezone)
    lite = connection.dialect.name == "sqlite"
    if source.query is not None:
        named = set(re.findall(r"(?<!:):(\w+)", source.query))
        bounds = {} if window is None else {"start": window.start, "end": window.end}
        local = {k: _local(v, zone) for k, v in bounds.items() if k in named}
        # SQLite compares text: without a fraction midnight sorts before every spelling of itself.
        values = {k: v.isoformat(sep=" ") if lite else v for k, v in local.items()}
        return sa.text(source.query).bindparams(**values)
    table = _table(source, connection, where)
    form = source.clean.get(source.event_time or "")
    time = None if source.event_time is None else _time(table, source.event_time, form, where)
    order = "" if time is None else _order(time, form, connection)
    joined = () if source.join is None else source.join.on
    named_columns = [*(source.columns or ()), *source.keys, *joined, *filter(None, [source.event_time])]
    columns = [c.name for c in table.c] if source.columns is None else list(dict.fromkeys(named_columns))
    chosen = [_column(table, c, where) for c in columns]
    if time is not None and lite and order != "number":
        # Its dates are text in more spellings than SQLAlchemy reads.
        chosen = [sa.type_coerce(c, sa.String).label(c.name) if c is time else c for c in chosen]
    statement = sa.select(*chosen)
    if time is None or window is None or not order:
        return statement
    low, high = window.start - MARGIN, window.end + MARGIN
    if order == "number" and form is not None:
        scale = EPOCHS[form.formats[0]]
        return statement.where(time >= int(low.timestamp()) * scale, time < int(high.timestamp()) * scale)
    if order == "text":
        days = (_local(low, zone).date().isoformat(), _local(high + MARGIN, zone).date().isoformat())
        time = sa.type_coerce(time, sa.String)
        return statement.where(time >= days[0], time < days[1])
    aware = bool(getattr(time.type, "timezone", False))
    if not aware:
        low, high = _local(low, zone), _local(high, zone)
    return statement.where(time >= low, time < high)


def _order(time: Any, form: Clean | None, connection: Any) -> str:
    """How a database compares a column of times: as "time", "text" or "number"; empty where it cannot, and all rows have to be read."""
    import sqlalchemy as sa

    if isinstance(time.type, _numeric()):
        return "number" if form is not None and form.formats[0] in EPOCHS and len(form.formats) == 1 else ""
    if connection.dialect.name != "sqlite" and not isinstance(time.type, sa.String):
        return "time"
    return "text" if form is None or form.formats == ("iso",) else ""


def _numeric() -> tuple[Any, ...]:
    """Types of columns that hold numbers."""
    import sqlalchemy as sa

    return (sa.Numeric, sa.Float, sa.Integer, sa.Boolean)


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def _table(source: SqlSource, connection: Any, where: str) -> Any:
    import sqlalchemy as sa

    schema, _, name = (source.table or "").rpartition(".")
    try:
        return sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
    except sa.exc.NoSuchTableError:
        inspector = sa.inspect(connection)
        known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
        raise SourceError(
            f"there is no table {source.table!r}", where=where, fix=did_you_mean(name, known)
        ) from None


def _column(table: Any, name: str, where: str) -> Any:
    if name not in table.c:
        raise DataError(
            f"table {table.name!r} has no column {name!r}",
            where=where,
            fix=did_you_mean(name, list(table.c.keys())),
        )
    return table.c[name]


def _time(table: Any, name: str, form: Clean | None, where: str) -> Any:
    column = _column(table, name, where)
    if form is None and isinstance(column.type, _numeric()):
        raise DataError(
            f"column {name!r} holds numbers ({column.type}), not times",
            where=where,
            fix=f"Say what they are: clean: {{{name}: {{to: time, formats: [epoch_s]}}}}.",
        )
    return column


def _url(url: str, base_dir: str, where: str) -> Any:
    """The URL with its variables filled in; a relative path of SQLite starts from the project's folder."""
    import sqlalchemy as sa

    def secret(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise SourceError(
                f"the environment variable {match[1]} is not set", where=where, fix=f"export {match[1]}=…"
            )
        return os.environ[match[1]]

    try:
        full = sa.make_url(re.sub(r"\$\{(\w+)\}", secret, url))
        if full.get_backend_name() == "sqlite" and full.database and not full.database.startswith(":"):
            full = full.set(database=os.path.join(base_dir, full.database))
        full.get_dialect().import_dbapi()
    except (sa.exc.ArgumentError, ImportError) as error:
        # The message may quote the URL, and with it a password.
        raise SourceError(
            f"the database URL cannot be used: {type(error).__name__}",
            where=where,
            fix="Write dialect+driver://user@host/name, such as postgresql+psycopg2://…",
        ) from None
    return full


@lru_cache(maxsize=8)
def _engine(url: Any) -> Any:
    import sqlalchemy as sa

    return sa.create_engine(url)
