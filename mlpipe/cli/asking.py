"""`mlpipe runs` and `mlpipe index`: questions to the index of records, and looking after it."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import command, warn
from mlpipe.errors import MlpipeError

if TYPE_CHECKING:
    from mlpipe.index.index import Index

QUERY = """\
A run is a training or a trial, unless the query names stage or asset. Text stands in quotes, dates and times ago do not.

examples:
  mlpipe runs                                                     the newest
  mlpipe runs 'metrics.f1 > 0.8 order by metrics.f1 desc limit 5'
  mlpipe runs 'params.lr < 1e-3 and tags.owner = "ana" and started > -30d' --csv
  mlpipe runs 'release_stage = "production"' --keys version,params.learning_rate
  mlpipe runs 'stage = "monitor" and verdict = "drift"'

The language and all keys: docs/records.md"""
SHOWN = 20
"""Rows of a table, where nobody says how many."""


def add(commands: Any) -> None:
    """Declare the commands."""
    text = "Records that a query finds: the newest trainings, without one."
    asked = command(commands, "runs", runs, text, QUERY, pipeline=False, target=False)
    asked.add_argument("query", nargs="*", metavar="QUERY", help="what to find; several words are joined")
    asked.add_argument("--limit", type=_count, metavar="N", help=f"rows at most; default: {SHOWN}, 0: all")
    asked.add_argument(
        "--keys", metavar="KEY,KEY", help="columns to show instead of those chosen for the query"
    )
    form = asked.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, with everything that is known of each")
    form.add_argument("--csv", action="store_true", help="print CSV")
    asked.add_argument("--sync", action="store_true", help="first take in what the index has missed")
    top = commands.add_parser(
        "index", help="Look after the index of records.", description="Look after the index of records."
    )
    verbs = top.add_subparsers(required=True, metavar="VERB")
    text = "Take in what the index has missed: records, events and decisions."
    synced = command(verbs, "sync", sync, text, pipeline=False, target=False)
    synced.add_argument(
        "--tail", action="store_true", help="only what is new, without looking for what was deleted"
    )
    text = "Make every row anew from stores, events and ledgers."
    rebuilt = command(verbs, "rebuild", rebuild, text, pipeline=False, target=False)
    for made in (synced, rebuilt):
        made.add_argument(
            "--store",
            action="append",
            default=[],
            metavar="URL",
            help="a store to read besides those that the index knows and the default one; may be given again",
        )
    command(
        verbs,
        "status",
        status,
        "Where the index lies, and up to when it is complete.",
        pipeline=False,
        target=False,
    ).add_argument("--json", action="store_true", help="print JSON")
    listed = command(verbs, "keys", keys, "Keys that records have.", pipeline=False, target=False)
    listed.add_argument("prefix", nargs="?", default="", help="what they begin with, such as params.")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def address() -> str:
    """Address of the index that is meant: in the folder of a project, that of the project's own instance."""
    from mlpipe.index.place import index_url

    # What a folder says of its surroundings takes a tenth of a cold answer to read; most folders say nothing.
    if any(Path(name).is_file() for name in ("pyproject.toml", ".env")):
        from mlpipe.orchestration.settled import settle

        settle(Path.cwd())
    return index_url()


def opened(*, synced: bool = False) -> "Index":
    """The index; with `synced` what it has missed is taken in first. Use it as a context."""
    from mlpipe.index.index import Index

    url = address()
    if synced:
        from mlpipe.orchestration.reconcile import brought_up

        brought_up(url, tell=warn)
    return Index.open(url)


def runs(args: argparse.Namespace) -> int:
    """`mlpipe runs`."""
    from mlpipe.index.fields import field_of
    from mlpipe.index.language import parse
    from mlpipe.index.query import Key
    from mlpipe.views import runs as view

    query = parse(" ".join(args.query))
    default = SHOWN if query.limit is None else None
    limit = default if args.limit is None else args.limit or None
    with opened(synced=args.sync) as index:
        answer = index.ask(query, limit)
        asked = [k.strip() for k in (args.keys or "").split(",") if k.strip()]
        named = [field_of(index.database, Key(k), k).name for k in asked]
    shown = tuple(dict.fromkeys(["id", *named])) if named else answer.keys
    if args.json:
        print(view.as_json(answer.rows, answer.as_of, answer.more, shown if named else None))
    elif args.csv:
        print(view.as_csv(answer.rows, shown))
    else:
        footer = view.footer(answer.total, answer.more, answer.as_of, answer.newer)
        print(view.as_table(answer.rows, shown, footer))
    return 0


def sync(args: argparse.Namespace) -> int:
    """`mlpipe index sync`."""
    from mlpipe.orchestration.reconcile import brought_up

    print(brought_up(address(), stores=args.store, full=not args.tail, tell=warn))
    return 0


def rebuild(args: argparse.Namespace) -> int:
    """`mlpipe index rebuild`."""
    from mlpipe.orchestration.reconcile import brought_up

    print(brought_up(address(), stores=args.store, full=True, anew=True, tell=warn))
    return 0


def status(args: argparse.Namespace) -> int:
    """`mlpipe index status`."""
    with opened() as index:
        as_of, newer = index.as_of()
        told = {
            "index": index.url,
            "records": index.count(),
            "synced": index.recall("synced"),
            "as_of": as_of.isoformat(),
            "newer": newer,
            "stores": index.stores(),
        }
    if args.json:
        print(json.dumps(told, ensure_ascii=False))
        return 0
    when = f"Last synced {told['synced']}" if told["synced"] else "Never synced"
    print(
        f"{told['index']}: {told['records']} records of {len(told['stores'])} stores. {when}; {newer} newer."
    )
    for store in told["stores"]:
        print(f"  {store}")
    return 0


def keys(args: argparse.Namespace) -> int:
    """`mlpipe index keys`."""
    from mlpipe.index.schema import COLUMNS
    from mlpipe.views.table import printable

    with opened() as index:
        known = index.keys(args.prefix)
    found = [*(c for c in COLUMNS if c.startswith(args.prefix)), *known]
    if not found:
        raise MlpipeError(f"no key begins with {args.prefix!r}", fix="See all of them: mlpipe index keys")
    print("\n".join(printable(key) for key in found))
    return 0
