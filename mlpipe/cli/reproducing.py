"""`mlpipe reproduce`: a past model made again from its record alone."""

import argparse
import json
import random
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import command, store_at, warn
from mlpipe.errors import MlpipeError, NotFoundError

if TYPE_CHECKING:
    from mlpipe.ledger.references import Reference
    from mlpipe.stores.store import Store

DIFFERENT = 9
"""Exit code when something came out different."""
TEXT = "Make a past model, or any record, again from its record alone, and say whether it comes out the same."
EPILOG = f"""\
ID is a record (its id or the first digits of it), a version such as flights@12 or flights@production, the newest of a partition such as
flights/features@2013-07-01, or a Dagster run (its model). The record's own inputs are read (each is checked first), its code is taken from
the archive in the store and runs in a process of its own, and nothing that was done before is found again. A model is judged again too.
Needed are the store alone and the packages: no project, no Dagster, no sources. The store is only read. The thread variables are set as
recorded where you do not set them yourself.

identical  every object has the same content, bit by bit
equal      numbers differ by no more than the tolerance: metric by metric, prediction by prediction, row by row
different  anything else; what differed is told

exit codes: 0 identical or equal; {DIFFERENT} different (of a sample: one of them); 4 something that is needed is not in the store;
1 it cannot be made again (rows from a source outside, a decision); 8 an input is damaged; others as in mlpipe --help

examples:
  mlpipe reproduce flights@1
  mlpipe reproduce flights@production --json | jq .verdict
  mlpipe reproduce rec-3f2a
  mlpipe reproduce --sample 5                # of the models that were ever in production: a nightly proof
  mlpipe reproduce flights --sample 5        # of those of one pipeline"""


def add(commands: Any) -> None:
    """Declare the command."""
    made = command(commands, "reproduce", reproduce, TEXT, EPILOG, pipeline=False, target=False)
    made.add_argument(
        "id", nargs="?", metavar="ID", help="what to make again; with --sample the name of a pipeline"
    )
    made.add_argument(
        "--sample", type=_count, metavar="N", help="so many, at random, of the models that were released"
    )
    made.add_argument(
        "--seed", type=int, metavar="N", help="with --sample: draw the same ones as with this number before"
    )
    made.add_argument(
        "--tolerance", type=_tolerance, metavar="X", help="numbers count as equal up to this; default: 1e-6"
    )
    made.add_argument(
        "--store",
        metavar="URL",
        help="the store; default: $MLPIPE_STORE, else $DAGSTER_HOME/mlpipe, else ./.mlpipe",
    )
    made.add_argument(
        "--ledger", metavar="NAME", help="the chain of decisions that versions are looked up in; default: dev"
    )
    made.add_argument("--json", action="store_true", help="print one JSON object for each, a line each")
    made.set_defaults(wrong=made.error)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 6 or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text!r}")
    return int(text)


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be a number in [0, 1), got {text!r}")
    return value


def reproduce(args: argparse.Namespace) -> int:
    """`mlpipe reproduce`."""
    if args.sample is None and args.id is None:
        args.wrong("name what to make again, or give --sample N")
    if args.sample is None and args.seed is not None:
        args.wrong("--seed needs --sample")
    from mlpipe.orchestration.reproducing import reproduce as again
    from mlpipe.stores.agreement import TOLERANCE
    from mlpipe.views.reproduced import as_text

    store = store_at(args)
    tolerance = TOLERANCE if args.tolerance is None else args.tolerance
    answers, failed = [], []
    for reference in _asked(args, store):
        try:
            answer = again(store, reference, tolerance)
        except MlpipeError as error:
            if args.sample is None:
                raise
            error.where = f"{reference.name}: {error.where}"
            failed.append(error)
            warn(str(error))
            continue
        answers.append(answer)
        if args.json:
            print(json.dumps(answer, ensure_ascii=False), flush=True)
    if not args.json and answers:
        print(as_text(answers))
    if failed:
        raise type(failed[0])(
            f"{len(failed)} of {len(failed) + len(answers)} could not be made again", where=store.url
        )
    return DIFFERENT if any(a["verdict"] == "different" for a in answers) else 0


def _asked(args: argparse.Namespace, store: "Store") -> "list[Reference]":
    """What is to be made again."""
    from mlpipe.ledger.references import referred, released

    if args.sample is None:
        name, at, _ = args.id.partition("@")
        if at and "/" in name:
            return [_indexed(args)]
        try:
            return [referred(store, args.id, args.ledger)]
        except NotFoundError:
            if at or args.id in store.pipelines():
                raise
            return [_indexed(args)]
    every = released(store, args.id, args.ledger)
    if not every:
        raise NotFoundError(
            "no model was ever released", where=store.url, fix="Name a record: mlpipe reproduce ID."
        )
    seed = random.SystemRandom().randrange(1_000_000) if args.seed is None else args.seed
    drawn = random.Random(seed).sample(every, min(args.sample, len(every)))
    names = ", ".join(r.name for r in drawn)
    warn(f"drawn from {len(every)} that were in production (--seed {seed}): {names}")
    return drawn


def _indexed(args: argparse.Namespace) -> "Reference":
    """The newest record of an asset's partition, or the model of a Dagster run: what only an index knows."""
    from mlpipe.index.shelf import open_shelf
    from mlpipe.ledger.references import Reference

    with open_shelf(args.store, args.ledger, warn) as shelf:
        record = shelf.one(args.id)
    return Reference(record.pipeline, record.id)
