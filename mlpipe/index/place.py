"""Where the index lies when nobody says."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from mlpipe.errors import MlpipeError

VARIABLE = "MLPIPE_INDEX"
FOLDER, FILE = "mlpipe_index", "index.sqlite"
"""Not within the store's own folder, in which everything is an object, a record or a decision."""


def index_url(home: str | None = None) -> str:
    """Address of the index: ``$MLPIPE_INDEX``; else the Postgres server of the Dagster instance; else a SQLite file beside the store.

    The file is ``$DAGSTER_HOME/mlpipe_index/index.sqlite``, without a Dagster home ``./.mlpipe_index/index.sqlite``. `home` is the folder
    of another instance than $DAGSTER_HOME. The address may hold a password: `shown` leaves it out.

    Raises
    ------
    MlpipeError
        The instance is on Postgres, and its ``dagster.yaml`` does not say where that is.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return named if "://" in named else sqlite_url(Path(named))
    home = home or os.environ.get("DAGSTER_HOME")
    if not home:
        return sqlite_url(Path(f".{FOLDER}") / FILE)
    return _of_instance(Path(home) / "dagster.yaml") or sqlite_url(Path(home) / FOLDER / FILE)


def sqlite_url(path: Path) -> str:
    """Address of a SQLite file."""
    return f"sqlite:///{path.absolute()}"


def shown(url: str) -> str:
    """The address without a password, for people."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{place}"))


def _of_instance(file: Path) -> str:
    """Address of the Postgres server that an instance is on; empty when it is on none."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    # YAML takes longer to import than a query to answer.
    if "postgres" not in text.lower():
        return ""
    import yaml

    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MlpipeError(f"the instance's settings are no YAML: {error}", where=str(file)) from None
    storage = settings.get("storage") if isinstance(settings, Mapping) else None
    found = storage.get("postgres") if isinstance(storage, Mapping) else None
    if not isinstance(found, Mapping):
        return ""
    whole, parts = _value(found.get("postgres_url")), found.get("postgres_db")
    if whole:
        return whole
    if not isinstance(parts, Mapping):
        raise MlpipeError(
            "the instance is on Postgres, and does not say where that is",
            where=f"{file}, storage.postgres",
            fix=f"Name it under postgres_db or postgres_url, or set {VARIABLE}.",
        )
    user, password = (quote(_value(parts.get(name)), safe="") for name in ("username", "password"))
    who = f"{user}:{password}" if password else user
    port = _value(parts.get("port")) or "5432"
    return f"postgresql://{who}@{_value(parts.get('hostname'))}:{port}/{quote(_value(parts.get('db_name')))}"


def _value(setting: Any) -> str:
    """A setting, which may name a variable of the environment as Dagster's do."""
    if isinstance(setting, Mapping):
        return os.environ.get(str(setting.get("env", "")), "")
    return "" if setting is None else str(setting)
