"""`mlpipe show`, `compare`, `diff`, `curves`: what is on record about a result, and what differs between several."""

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import command, warn
from mlpipe.errors import MlpipeError

if TYPE_CHECKING:
    from datetime import datetime

    from mlpipe.index.shelf import Shelf

IDS = """\
ID is a record (its id or the first digits of it), a version such as flights@12 or flights@production, the newest of a partition such as
flights/features@2013-07-01, or a Dagster run (its id or the first digits)."""
SHOW = f"""\
{IDS}
Of a run every record is shown in a line; of a training its newest evaluation is shown with it.

examples:
  mlpipe show flights@production
  mlpipe show flights/raw@2013-07-01 --all
  mlpipe show flights@12 --json | jq .record.params"""
COMPARE = f"""\
{IDS}
What stands out comes first, the likeliest causes first of it; then everything that differs: in what came out, in data (windows, columns
as they came, features, distributions, inputs made again), parameters, code, environment, and who, when and why. Differences are told
against the first ID.

examples:
  mlpipe compare flights@11 flights@production
  mlpipe compare flights@11 flights@12 flights@13 --html compared.html
  mlpipe compare flights@11 flights@12 --json | jq .told"""

DIFF = f"""\
{IDS}
Data: of records that made tables (raw, features, labels, predictions, …) the rows by their declared key, columns that came, went or changed
type, the PSI of each column, and hints at columns that have another name now. Of models the windows of features that they learned from,
and partitions that both read in different content. Code: a unified diff of the archived files.

examples:
  mlpipe diff flights/raw@2013-06-30 flights/raw@2013-07-01
  mlpipe diff flights@11 flights@12 --code
  mlpipe diff rec-3f2a rec-81bc --data --json"""

CURVES = f"""\
{IDS}
A plot for each curve, with the lines of all that are named, and what each says about the learning: still improving, converged, overfits
since a step, diverged.

examples:
  mlpipe curves flights@production
  mlpipe curves flights@11 flights@12 --html curves.html
  mlpipe curves flights@12 --csv"""


def add(commands: Any) -> None:
    """Declare the commands."""
    made = declared(commands, "show", show, "Everything about one record, a screenful first.", SHOW)
    made.add_argument("id", metavar="ID", help="what to show")
    made.add_argument("--all", action="store_true", help="all parameters, inputs, objects, packages, data")
    made.add_argument("--json", action="store_true", help="print the whole record as JSON")
    made = declared(
        commands, "compare", compare, "What differs between results, and what may be why.", COMPARE
    )
    made.add_argument(
        "ids", metavar="ID", nargs="+", help="what to compare; the first is what the others are compared with"
    )
    made.add_argument("--all", action="store_true", help="also what is the same")
    forms(made)
    made.set_defaults(wrong=made.error)
    made = declared(
        commands, "diff", diff, "The difference between two results in full: code and data.", DIFF
    )
    made.add_argument("before", metavar="ID", help="the one before")
    made.add_argument("after", metavar="ID", help="the one after")
    only = made.add_mutually_exclusive_group()
    only.add_argument("--code", action="store_true", help="the code alone")
    only.add_argument("--data", action="store_true", help="the data alone")
    made.add_argument("--json", action="store_true", help="print JSON")
    made = declared(commands, "curves", curves, "How trainings went, step by step.", CURVES)
    made.add_argument("ids", metavar="ID", nargs="+", help="trainings or trials")
    forms(made)


def declared(commands: Any, name: str, call: Any, text: str, epilog: str) -> Any:
    """A command that reads records: with the options that say where they are."""
    made = command(commands, name, call, text, epilog, pipeline=False, target=False)
    made.add_argument(
        "--store",
        metavar="URL",
        help="the store; default: $MLPIPE_STORE, else $DAGSTER_HOME/mlpipe, else ./.mlpipe",
    )
    made.add_argument(
        "--ledger", metavar="NAME", help="the chain of decisions that versions are looked up in; default: dev"
    )
    made.add_argument(
        "--sync", action="store_true", help="first take in what the index has missed, of deleted runs too"
    )
    return made


def forms(made: Any) -> None:
    """Options for other forms than text."""
    only = made.add_mutually_exclusive_group()
    only.add_argument("--json", action="store_true", help="print JSON")
    only.add_argument("--csv", action="store_true", help="print CSV")
    only.add_argument("--html", metavar="FILE", help="write one self-contained page")


def written(path: str, html: str) -> None:
    """Write a page where somebody wants it, and say so."""
    put(path, html)
    print(f"Page: {path}")


def put(path: str, html: str) -> None:
    """Write a page where somebody wants it.

    Raises
    ------
    MlpipeError
        It cannot be written there.
    """
    try:
        Path(path).write_text(html, encoding="utf-8")
    except OSError as error:
        raise MlpipeError(
            f"the page cannot be written: {error.strerror}",
            where=path,
            fix="Name a file in a folder that is there.",
        ) from None


@contextmanager
def shelf(args: argparse.Namespace) -> "Iterator[Shelf]":
    """Within the body: the records of the store that is meant."""
    from mlpipe.index.shelf import open_shelf
    from mlpipe.orchestration.settled import settle

    if args.store is None:
        settle(Path.cwd())
    if args.sync:
        from mlpipe.index.place import index_url
        from mlpipe.orchestration.reconcile import brought_up

        brought_up(index_url(), stores=[args.store] if args.store else [], full=True, tell=warn)
    with open_shelf(args.store, args.ledger, warn) as opened:
        yield opened


def tell(
    args: argparse.Namespace, as_of: "datetime", text: Callable[[], str], plain: Callable[[], Any]
) -> None:
    """Print an answer, and as of when it is: one JSON object with `--json`, else text."""
    if args.json:
        print(json.dumps({"as_of": as_of.isoformat(), **plain()}, ensure_ascii=False, default=str))
    else:
        from mlpipe.views.runs import dated

        print(f"{text()}\n\n{dated(as_of)}")


def show(args: argparse.Namespace) -> None:
    """`mlpipe show`."""
    from mlpipe.views.record import Shown, as_text, plain, to_dict
    from mlpipe.views.subjects import subject_of
    from mlpipe.views.table import table

    with shelf(args) as records:
        found = records.find(args.id)
        shown = []
        for record in found if len(found) == 1 or args.json or args.all else []:
            readers = Counter(str(r.get("asset")).rpartition("/")[2] for r in records.readers(record.id))
            subject = subject_of(records, args.id, record)
            gone = any(row.get("deleted") for row in records.index.find(record.id))
            shown.append(Shown(subject, tuple(records.notes(record)), records.store.url, readers, gone))
    if args.json:
        for one in shown:
            tell(args, records.as_of, str, partial(to_dict, one))
        return
    text = "\n\n".join(as_text(one, every=args.all) for one in shown)
    if not shown:
        rows = [[r.id[:16], r.asset, r.partition, r.verdict, plain(r.headline)] for r in found]
        listed = table(["record", "asset", "partition", "verdict", ""], rows)
        text = f"Run {found[0].run} made {len(found)} records:\n{listed}"
    tell(args, records.as_of, lambda: text, dict)


def compare(args: argparse.Namespace) -> None:
    """`mlpipe compare`."""
    if len(args.ids) < 2:
        args.wrong("name at least two records to compare")
    from mlpipe.views.compared import as_csv, as_text, to_dict
    from mlpipe.views.compared_page import as_html
    from mlpipe.views.curves import series_of
    from mlpipe.views.subjects import compared

    with shelf(args) as records:
        found = compared(records, args.ids)
        if args.html:
            subjects = [s for s in found.subjects if s.record.curves]
            lines = [line for s in subjects for line in series_of(records.store, s.name, s.record)]
            written(args.html, as_html(found, lines, every=args.all))
            return
    if args.csv:
        print(as_csv(found, every=args.all))
        return
    tell(
        args,
        records.as_of,
        lambda: as_text(found, every=args.all),
        lambda: to_dict(found, every=args.all),
    )


def diff(args: argparse.Namespace) -> None:
    """`mlpipe diff`."""
    from mlpipe.views.diffed import as_text, to_dict
    from mlpipe.views.diffs import diff_of

    with shelf(args) as records:
        found = diff_of(records, (args.before, args.after), code=not args.data, data=not args.code)
    tell(args, records.as_of, lambda: as_text(found), lambda: to_dict(found))


def curves(args: argparse.Namespace) -> None:
    """`mlpipe curves`."""
    from mlpipe.views.compared_page import curves_html
    from mlpipe.views.curves import as_rows, as_text, series_of, to_dicts

    with shelf(args) as records:
        lines = [line for name in args.ids for line in series_of(records.store, name, records.one(name))]
    if args.html:
        written(args.html, curves_html(args.ids, lines))
    elif args.json:
        print(json.dumps(to_dicts(lines), ensure_ascii=False))
    elif args.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["of", "curve", "series", "step", "value"])
        writer.writerows(as_rows(lines))
    else:
        print(as_text(lines))
