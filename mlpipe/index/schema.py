"""The tables of an index.

``record`` holds a row for each record. What has no fixed column is an attribute: its key, and a number or a text. ``attribute`` finds
rows by what they hold; a row's ``pack`` gives back all that it holds at once (see `mlpipe.index.packs`). Environment and code are the
same for thousands of records, so they lie once in a ``bag``. The same values lie by key in ``block``, for conditions that are met by too
many rows to be found one by one (see `mlpipe.index.blocks`).
"""

from mlpipe.errors import MlpipeError
from mlpipe.index.database import Database
from mlpipe.index.place import shown
from mlpipe.index.rows import FREE

VERSION = "2"

TEXTS = (
    "pipeline",
    "segment",
    "deployment",
    "stage",
    "asset",
    "partition",
    "run",
    "recipe",
    "trigger",
    "reason",
    "actor",
    "verdict",
    "headline",
    "experiment",
    "owner",
    "notes",
    "release_stage",
)
FLAGS = ("reused", "registered", "deleted")
NUMBERS = ("size", "rows", "version")
TIMES = ("started", "as_of")
COLUMNS = ("id", *TEXTS, *FLAGS, *NUMBERS, *TIMES)
"""What every record has a column for; times in microseconds since 1970, flags 0 or 1, nothing where there is nothing."""
PACKED = (
    "pipeline",
    "deployment",
    "stage",
    "partition",
    "started",
    "as_of",
    "trigger",
    "actor",
    "experiment",
    "verdict",
)
"""Columns that stand in a row's pack as well: they never change, and are read with it."""

_TABLES = """
create table meta (name {text} primary key, value {text} not null) {suffix};
create table key (id {integer} primary key, name {text} not null unique);
create table word (id {integer} primary key, text {text} not null unique);
create table shape (id {integer} primary key, digest {text} not null unique, body {text} not null);
create table bag (
  id {integer} primary key, digest {text} not null unique, shape {integer} not null, pack {blob} not null);
create table shared (
  key {integer}, bag {integer}, number {real}, text {text}, primary key (key, bag)) {suffix};
create index shared_number on shared (key, number, bag) where number is not null;
create index shared_text on shared (key, text, bag) where text is not null;
create table attribute (
  key {integer}, row {integer}, number {real}, text {text}, primary key (key, row)) {suffix};
create index attribute_number on attribute (key, number, row) where number is not null;
create index attribute_text on attribute (key, text, row) where text is not null;
create table record (
  n {integer} primary key, id {text} not null unique, store {text} not null, trained {integer} not null,
  {columns},
  event {integer}, instance {text}, made {text}, judges {text}, own_notes {text}, bag {integer},
  shape {integer} not null, pack {blob} not null, measured {text} not null);
create index record_trained on record (trained, started desc, id);
create index record_bag on record (bag);
create index record_event on record (instance, event) where event is not null;
create index record_made on record (made) where made is not null;
create index record_judges on record (judges) where judges is not null;
create table block (
  key {integer} not null, number {integer} not null, places {blob}, numbers {blob}, words {blob}, primary key (key, number));
create index block_number on block (number);
create table stale (row {integer} primary key);
create table edge (
  source {text} not null, reader {integer} not null, place {integer} not null, asset {text}, partition {text}, name {text},
  object {text}, primary key (reader, place)) {suffix};
create index edge_source on edge (source);
create table version (
  pipeline {text} not null, segment {text} not null, deployment {text} not null, number {integer} not null,
  record {text} not null, stage {text} not null, evaluation {text},
  primary key (pipeline, segment, deployment, number)) {suffix};
create index version_record on version (record);
create table note (
  record {text} not null, written {integer} not null, actor {text} not null, text {text} not null, name {text} primary key) {suffix};
create index note_record on note (record)
"""


def _statements(database: Database) -> list[str]:
    types = database.types
    kinds = dict.fromkeys(TEXTS, types["text"]) | dict.fromkeys((*FLAGS, *NUMBERS, *TIMES), types["integer"])
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    made = [s.strip() for s in _TABLES.format(columns=columns, **types).split(";")]
    for name in kinds:
        if name not in FREE:
            made.append(f"create index record_{name} on record ({name}) where {name} is not null")
    return made


def prepare(database: Database, *, create: bool, anew: bool = False) -> None:
    """Make the tables if they are not there; with `anew` also in place of those of another version.

    Raises
    ------
    MlpipeError
        There are none and `create` is false, or they are of another version of mlpipe.
    """
    found = _version(database)
    if create and (found is None or (anew and found != VERSION)):
        with database.writing():
            # Somebody else may have made them while we waited.
            found = _version(database)
            if found is not None and found != VERSION:
                _drop(database)
                found = None
            if found is None:
                if database.types["schema"]:
                    database.run(database.types["schema"])
                for statement in _statements(database):
                    database.run(statement)
                database.run("insert into meta (name, value) values ('schema', ?)", (VERSION,))
                found = VERSION
    if found != VERSION:
        what = "there is no index" if found is None else f"the index has format {found}, not {VERSION}"
        raise MlpipeError(what, where=shown(database.url), fix="Make it anew: mlpipe index rebuild")


def _version(database: Database) -> str | None:
    if database.probe:
        there = database.run("select 1 from sqlite_master where type = 'table' and name = 'meta'")
    else:
        there = database.run("select 1 from pg_tables where schemaname = 'mlpipe' and tablename = 'meta'")
    found = database.run("select value from meta where name = 'schema'") if there else []
    return str(found[0][0]) if found else None


def _drop(database: Database) -> None:
    if not database.probe:
        database.run("drop schema mlpipe cascade")
        return
    for (name,) in database.run(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite%'"
    ):
        database.run(f'drop table "{name}"')
