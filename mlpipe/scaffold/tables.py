"""Look at a table of a database: a sample of its rows, their count, and the ends of its time column."""

from pathlib import Path
from typing import Any

import pandas as pd

from mlpipe.errors import SourceError, did_you_mean
from mlpipe.scaffold.look import Looked
from mlpipe.stages.databases import connected, queried

SAMPLE = 50_000
"""Rows of a table that are looked at, about."""
VARIABLE = "DATABASE_URL"
"""Environment variable for a URL with a password; the project's own ``.env`` file sets it."""


def look_at_table(data: str, folder: Path, time: str | None, table: str | None) -> Looked:
    """Look at a table, named behind ``#`` or apart; a database with a single table needs no name.

    Raises
    ------
    SourceError
        When the URL cannot be used, or there is no such table.
    TransientError
        When the database does not answer.
    """
    import sqlalchemy as sa

    url, _, named = data.partition("#")
    wanted = table or named or None
    try:
        made = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise SourceError(
            "the database URL cannot be used",
            fix="Write dialect+driver://user@host/name#table, such as postgresql+psycopg2://me@localhost/shop#orders.",
        ) from None
    origin = made.render_as_string(hide_password=True)
    if made.get_backend_name() == "sqlite" and made.database and not made.database.startswith(":"):
        file = (folder / made.database).absolute()
        if not file.is_file():
            raise SourceError(
                f"there is no file {file}", where=origin, fix="Mend the path behind sqlite:///."
            )
        made = made.set(database=str(file))
    full = made.render_as_string(hide_password=False)
    with connected(full, folder, "UTC", origin) as connection:
        name = _table_name(connection, wanted, origin)
        columns, rows, frame, span = _sample(connection, name, time)
    source: dict[str, Any] = {"type": "sql", "url": full, "table": name}
    secrets: tuple[tuple[str, str], ...] = ()
    if made.password:
        source["url"] = f"${{{VARIABLE}}}"
        secrets = ((VARIABLE, full),)
    notes = () if len(frame) == rows else (f"{len(frame):,} of {rows:,} rows were looked at.",)
    if time is not None and time not in columns:
        raise SourceError(
            f"table {name!r} has no column {time!r}", where=origin, fix=did_you_mean(time, columns)
        )
    return Looked(frame, rows, source, "sql", f"{origin}#{name}", notes, span=span, secrets=secrets)


def _table_name(connection: Any, wanted: str | None, origin: str) -> str:
    import sqlalchemy as sa

    inspector = sa.inspect(connection)
    if wanted is not None:
        schema, _, name = wanted.rpartition(".")
        known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
        if name not in known:
            raise SourceError(f"there is no table {wanted!r}", where=origin, fix=did_you_mean(name, known))
        return wanted
    known = inspector.get_table_names()
    if len(known) == 1:
        return str(known[0])
    shown = ", ".join(known[:10]) + (" …" if len(known) > 10 else "")
    raise SourceError(
        f"the database holds {len(known)} tables" + (f": {shown}" if known else ""),
        where=origin,
        fix="Name one behind '#': URL#table.",
    )


def _sample(
    connection: Any, name: str, time: str | None
) -> tuple[list[str], int, pd.DataFrame, "pd.Series[Any] | None"]:
    """Columns, number of rows, a sample of them, and the ends of the time column."""
    import sqlalchemy as sa

    schema, _, bare = name.rpartition(".")
    table = sa.Table(bare, sa.MetaData(), schema=schema or None, autoload_with=connection)
    rows = int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
    lite = connection.dialect.name == "sqlite"
    # SQLite's dates are text in more spellings than SQLAlchemy reads.
    textual = (sa.Date, sa.DateTime, sa.Time)
    chosen = [
        sa.type_coerce(c, sa.String).label(c.name) if lite and isinstance(c.type, textual) else c
        for c in table.c
    ]
    statement: Any = sa.select(*chosen)
    if rows > SAMPLE and connection.dialect.name == "postgresql":
        part = sa.tablesample(table, sa.func.bernoulli(min(100.0, 100.0 * SAMPLE / rows)), seed=sa.literal(0))
        statement = sa.select(*part.c)
    elif rows > SAMPLE:
        statement = statement.order_by(sa.func.random() if lite else sa.func.rand()).limit(SAMPLE)
    frame = queried(statement, connection)
    span = None
    if time is not None and time in table.c:
        column = sa.type_coerce(table.c[time], sa.String) if lite else table.c[time]
        ends = connection.execute(sa.select(sa.func.min(column), sa.func.max(column))).one()
        span = pd.Series(list(ends))
    return [c.name for c in table.c], rows, frame, span
