"""What libraries do again and again in a process that runs many tests, done once, or without waiting for the disk.

Nothing here changes what Dagster is told or what it answers. Tests that start processes run without it.
"""

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def dagster_prepared() -> None:
    """Dagster, as it was imported, for databases that no power cut outlives."""
    from alembic.script import ScriptDirectory
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
    from dagster.components.core import package_entry, snapshot
    from sqlalchemy import create_engine, event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def unsynced(connection: Any, record: Any) -> None:
        if "sqlite3" in type(connection).__module__:
            connection.execute("PRAGMA synchronous=OFF")

    engines: dict[str, Engine] = {}

    def engine_of(url: str, **how: Any) -> Engine:
        """One engine a database, which has a connection for each use, and compiles each statement once."""
        if url not in engines:
            while len(engines) > 50:
                del engines[next(iter(engines))]
            engines[url] = create_engine(url, **how)
        return engines[url]

    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        module.create_engine = engine_of  # type: ignore[attr-defined]

    # The same for all databases: read from forty files each time.
    scripts: dict[str, ScriptDirectory] = {}
    from_config = ScriptDirectory.from_config

    def scripts_of(config: Any) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in scripts:
            scripts[place] = from_config(config)
        return scripts[place]

    ScriptDirectory.from_config = staticmethod(scripts_of)  # type: ignore[assignment, method-assign]

    # Components of what is installed, with their schemas: the same all along, and told with every definitions that are loaded.
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
