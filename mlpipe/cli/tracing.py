"""`mlpipe trace`, `impact`, `why`, `stale`, `note`: what was made from what."""

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import warn
from mlpipe.cli.looking import IDS, declared, shelf, tell
from mlpipe.errors import MlpipeError, NotFoundError, did_you_mean

if TYPE_CHECKING:
    from datetime import datetime

    from mlpipe.index.impact import Impact

TRACE = f"""\
{IDS}
The id of a prediction (p-…) may be given too. Shown is everything that it was made from, asset by asset, up to the rows of the sources, and
the code. --as-of asks for the version or partition as it was at that moment, by the clock of the data.

examples:
  mlpipe trace p-66552b6ad4ec72e7-3
  mlpipe trace flights@production --as-of 2013-07-03T14:03-04:00
  mlpipe trace flights/predictions@2013-07-01 --json"""
IMPACT = f"""\
Named is a partition of the source (2013-07-01), a column (temp, or weather.temp of one source), or an ID. {IDS}
Shown is what was made from it, what of that is the newest of its partition ("current"), and which models in production learned from it.
--rebuild makes exactly what is current again, as 'mlpipe run' would: data, the model in production if it learned from it, predictions and
monitor. Other models stay as they are.

examples:
  mlpipe impact 2013-07-01
  mlpipe impact weather.temp --json
  mlpipe impact flights/raw@2013-07-01 --rebuild --reason "the airport corrected its log\""""
WHY = """\
Told is the model, the features as they were then, where each lies among the values that the model learned from (a quantile; what is far
from the usual comes first), and what data and code it was made from.

example:
  mlpipe why p-66552b6ad4ec72e7-3"""
STALE = """\
A record is stale when it is the newest of its partition, and read something that was made again with another content since. It is computed
from the records alone. Predictions belong to the version that made them: a new champion makes none stale.

examples:
  mlpipe stale
  mlpipe stale flights --json"""
NOTE = f"""\
{IDS}
Notes are kept in the store beside the record, for good, and shown by 'mlpipe show'.

example:
  mlpipe note flights@12 "trained on the week of the outage\""""


def add(commands: Any) -> None:
    """Declare the commands."""
    made = declared(
        commands, "trace", trace, "Everything that a result was made from, up to the sources.", TRACE
    )
    made.add_argument("id", metavar="ID", help="what to trace")
    made.add_argument("--as-of", metavar="TIME", help="what it was at that moment (ISO with a zone)")
    made.add_argument("--json", action="store_true", help="print JSON")
    made = declared(
        commands,
        "impact",
        impact,
        "What was made from a partition or column, and what of it is live.",
        IMPACT,
    )
    made.add_argument(
        "what", metavar="PARTITION_OR_COLUMN", help="what it begins with; an ID may be given too"
    )
    made.add_argument("--rebuild", action="store_true", help="make exactly what is current again")
    _tables(made)
    made.add_argument("--reason", default="", help="with --rebuild: why; recorded with every run")
    made.add_argument(
        "-f", "--target", metavar="FILE_OR_MODULE", help="with --rebuild: where the definitions are"
    )
    made.set_defaults(wrong=made.error)
    made = declared(commands, "why", why, "Why a prediction came out as it did.", WHY)
    made.add_argument("prediction", metavar="PREDICTION_ID", help="as it stands in the table of predictions")
    _tables(made)
    made = declared(
        commands, "stale", stale, "What was made from something that has been made again since.", STALE
    )
    made.add_argument("pipeline", nargs="?", help="name of one pipeline; default: all in the store")
    made.add_argument(
        "--history", action="store_true", help="also models that are neither in production nor the newest"
    )
    _tables(made)
    made = declared(commands, "note", note, "Write something down about a result, for good.", NOTE)
    made.add_argument("id", metavar="ID", help="what it is about")
    made.add_argument("text", metavar="TEXT", help="what to write")
    made.add_argument("--json", action="store_true", help="print JSON")


def _tables(made: Any) -> None:
    """Options for other forms than text, of what is a table."""
    only = made.add_mutually_exclusive_group()
    only.add_argument("--json", action="store_true", help="print JSON")
    only.add_argument("--csv", action="store_true", help="print CSV")


def _print_csv(rows: Iterable[Sequence[Any]]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows)


def trace(args: argparse.Namespace) -> None:
    """`mlpipe trace`."""
    from mlpipe.index.lineage import prediction_of
    from mlpipe.index.lineage import trace as traced
    from mlpipe.views.lineage import tree, tree_dict

    with shelf(args) as records:
        row = None
        if args.as_of:
            record = records.one_as_of(args.id, _moment(args.as_of))
        elif args.id.startswith("p-"):
            record, row = prediction_of(records, args.id)
        else:
            record = records.one(args.id)
        found = traced(records, record)
        models = [r for b in found.walk() for r in b.records if r.stage == "train"]
        versions = {r.id: " ".join(records.versions_of(r)) for r in models if records.versions_of(r)}
    head = "" if row is None else f"{args.id} is row {row} of:\n"
    tell(
        args,
        records.as_of,
        lambda: head + tree(found, versions),
        lambda: {"row": row, "versions": versions, **tree_dict(found)},
    )


def _moment(text: str) -> "datetime":
    from mlpipe.orchestration.runtime import instant_of

    return instant_of(text, "--as-of")


def impact(args: argparse.Namespace) -> None:
    """`mlpipe impact`."""
    if args.reason and not args.rebuild:
        args.wrong("--reason needs --rebuild")
    if args.target and not args.rebuild:
        args.wrong("--target needs --rebuild")
    if args.csv and args.rebuild:
        args.wrong("--csv does not go with --rebuild")
    from mlpipe.index.impact import impact as found_impact
    from mlpipe.views.lineage import impact_dict, impact_rows, impact_text

    with shelf(args) as records:
        found = found_impact(records, args.what)
    if args.rebuild:
        _rebuilt(args, found, records.as_of)
    elif args.csv:
        _print_csv(impact_rows(found))
    else:
        tell(args, records.as_of, lambda: impact_text(found), lambda: impact_dict(found))


def _rebuilt(args: argparse.Namespace, found: "Impact", as_of: "datetime") -> None:
    """Launch what makes an impact again, pipeline by pipeline."""
    from mlpipe.orchestration.around import execute, together
    from mlpipe.orchestration.locate import pipeline_of
    from mlpipe.orchestration.rebuilding import rebuild_plan, told
    from mlpipe.orchestration.runtime import LISTENERS
    from mlpipe.views.lineage import impact_dict, impact_text
    from mlpipe.views.progress import bars, spent

    started = time.perf_counter()
    plans = []
    for pipeline in sorted({n.pipeline for n in found.made}):
        spec, defs = pipeline_of(pipeline, Path.cwd(), args.target)
        plans.append((spec, defs, rebuild_plan(spec, found, args.reason)))
    lines = [f"{spec.name}: {told(request)}" for spec, _, requests in plans for request in requests]
    tell(args, as_of, lambda: impact_text(found, lines), lambda: impact_dict(found, lines))
    sys.stdout.flush()
    failed: list[MlpipeError] = []
    for spec, defs, requests in plans:
        with bars() as (progress, listen):
            LISTENERS.append(listen)
            try:
                failed += execute(spec, defs, requests, progress, warn)
            finally:
                LISTENERS.remove(listen)
    if failed:
        raise together(failed)
    if not args.json:
        print(f"\n{spent(time.perf_counter() - started)}")


def why(args: argparse.Namespace) -> None:
    """`mlpipe why`."""
    from mlpipe.index.why import why as found_why
    from mlpipe.views.lineage import why_dict, why_rows, why_text

    with shelf(args) as records:
        found = found_why(records, args.prediction)
    if args.csv:
        _print_csv(why_rows(found))
        return
    tell(args, records.as_of, lambda: why_text(found), lambda: why_dict(found))


def stale(args: argparse.Namespace) -> None:
    """`mlpipe stale`."""
    from mlpipe.index.staleness import stale as found_stale
    from mlpipe.views.lineage import stale_dict, stale_rows, stale_text

    with shelf(args) as records:
        pipelines = records.store.pipelines()
        if args.pipeline and args.pipeline not in pipelines:
            raise NotFoundError(
                f"the store has no pipeline {args.pipeline!r}",
                where=records.store.url,
                fix=did_you_mean(args.pipeline, pipelines),
            )
        found = found_stale(records, [args.pipeline] if args.pipeline else pipelines, history=args.history)
    if args.csv:
        _print_csv(stale_rows(found))
        return
    tell(args, records.as_of, lambda: stale_text(found), lambda: {"stale": stale_dict(found)})


def note(args: argparse.Namespace) -> None:
    """`mlpipe note`."""
    from mlpipe.orchestration.runtime import who

    with shelf(args) as records:
        record = records.one(args.id)
        made = records.note(record, args.text, who())
    if args.json:
        told = {
            "record": made.record,
            "written": made.written.isoformat(),
            "actor": made.actor,
            "text": made.text,
        }
        print(json.dumps(told, ensure_ascii=False))
    else:
        print(f"Noted about {record.asset} {record.partition} ({record.id[:16]}).")
