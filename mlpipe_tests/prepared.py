"""What libraries do again and again in a process that runs many tests, done once, or without waiting for the disk.

Nothing here changes what Dagster is told or what it answers. Tests that start processes run without it.
"""

from functools import lru_cache
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

ENGINES = 50
"""So many databases are remembered."""


def databases_prepared() -> None:
    """To be called before Dagster is imported: it makes an engine, and compiles each statement, for every use of a database in SQLite."""

    @event.listens_for(Engine, "connect")
    def unsynced(connection: Any, record: Any) -> None:
        # No power cut is outlived here.
        if "sqlite3" in type(connection).__module__:
            connection.execute("PRAGMA synchronous=OFF")

    make = sqlalchemy.create_engine
    remembered = lru_cache(maxsize=ENGINES)(
        lambda url, how: make(url, poolclass=NullPool, connect_args=dict(how))
    )

    def engine_of(url: Any, **how: Any) -> Engine:
        """One engine a database, where it keeps no connection."""
        plain = how.keys() <= {"poolclass", "connect_args"} and how.get("poolclass") is NullPool
        if plain and isinstance(url, str) and url.startswith("sqlite:///"):
            return remembered(url, tuple(sorted(how.get("connect_args", {}).items())))
        return make(url, **how)

    sqlalchemy.create_engine = engine_of  # type: ignore[assignment]


@lru_cache(maxsize=1)
def dagster_prepared() -> None:
    """To be called where Dagster was imported."""
    from alembic.script import ScriptDirectory
    from dagster.components.core import package_entry, snapshot

    # The migrations are the same for all databases, and are read from forty files each time.
    scripts: dict[str | None, ScriptDirectory] = {}
    from_config = ScriptDirectory.from_config

    def scripts_of(config: Any) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in scripts:
            scripts[place] = from_config(config)
        return scripts[place]

    ScriptDirectory.from_config = staticmethod(scripts_of)  # type: ignore[assignment, method-assign]

    # Components of what is installed, with their schemas, are the same all along, and told with all definitions that are loaded.
    package_entry.discover_entry_point_package_objects = lru_cache(maxsize=1)(
        package_entry.discover_entry_point_package_objects
    )
    known: dict[Any, Any] = {}
    snap = snapshot.get_package_entry_snap

    def snap_of(key: Any, what: object) -> Any:
        if key not in known:
            known[key] = snap(key, what)
        return known[key]

    snapshot.get_package_entry_snap = snap_of
