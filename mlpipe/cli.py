"""The command `mlpipe`: parse, call, print."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.errors import (
    LedgerConflictError,
    MlpipeError,
    NotFoundError,
    SourceError,
    SpecError,
    StoreError,
    UserCodeError,
)

if TYPE_CHECKING:
    from mlpipe.ledger.chain import Ledger
    from mlpipe.ledger.entry import Entry
    from mlpipe.spec.pipeline import PipelineSpec
    from mlpipe.stores.store import Store

EXIT_CODES: tuple[tuple[type[MlpipeError], int, str], ...] = (
    (SpecError, 3, "the declaration of a pipeline is wrong"),
    (NotFoundError, 4, "something that was named does not exist"),
    (SourceError, 5, "a source could not be read"),
    (UserCodeError, 6, "a function of yours raised or returned the wrong thing"),
    (LedgerConflictError, 7, "somebody else decided first"),
    (StoreError, 8, "the store is damaged or cannot be written"),
    (MlpipeError, 1, "any other error of mlpipe"),
)
DEBUG = "show the traceback of an error"
EPILOG = "exit codes: 0 done; 2 the command line is wrong; " + "; ".join(
    f"{code} {text}" for _, code, text in sorted(EXIT_CODES, key=lambda e: e[1])
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 when it did what was asked; see `mlpipe --help` for the other codes."""
    args = parser().parse_args(argv)
    try:
        code = args.call(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        _warn("interrupted; what was recorded stays, and the same command goes on from there")
        code = 130
    except Exception as error:
        if args.debug:
            raise
        code = _told(error)
    sys.exit(code or 0)


def _told(error: Exception) -> int:
    """Print the paragraph of an error, and give its exit code."""
    known: BaseException | None = error if isinstance(error, MlpipeError) else None
    if known is None:
        from mlpipe.orchestration.causes import cause, first_line, place

        known = cause(error)
    if known is None:
        where = place(error)
        print(f"mlpipe: {where + ': ' if where else ''}{first_line(error)}", file=sys.stderr)
        print("Put --debug at the end of the command to see the traceback.", file=sys.stderr)
        return 1
    print(f"mlpipe: {known}", file=sys.stderr)
    return next(c for kind, c, _ in EXIT_CODES if isinstance(known, kind))


def _warn(text: str) -> None:
    print(f"mlpipe: {text}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="mlpipe", description="The machine-learning lifecycle as one Dagster asset graph.", epilog=EPILOG
    )
    top.add_argument("--debug", action="store_true", help=DEBUG)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _run(commands)
    _check(commands)
    _decisions(commands)
    _store(commands)
    return top


def _command(
    commands: Any,
    name: str,
    call: Callable[[argparse.Namespace], int | None],
    text: str,
    epilog: str = "",
    *,
    pipeline: bool = True,
) -> Any:
    made = commands.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.set_defaults(call=call)
    made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
    if pipeline:
        made.add_argument("pipeline", help="name of the pipeline")
    made.add_argument(
        "-f",
        "--target",
        metavar="FILE_OR_MODULE",
        help="where its definitions are; default: the project or workspace in this folder",
    )
    return made


# -- run ----------------------------------------------------------------------------------------------------------


def _run(commands: Any) -> None:
    text = "Bring a range of partitions up to date: ingest to labels, train if asked, then predictions and monitor."
    made = _command(
        commands,
        "run",
        run,
        text,
        "example:\n  mlpipe run flights --from 2013-01-01 --to 2013-06-30 --train-at 2013-04-01",
    )
    made.add_argument(
        "--from",
        dest="first",
        metavar="PARTITION",
        help="first partition; needed unless the pipeline has none",
    )
    made.add_argument(
        "--to", dest="last", metavar="PARTITION", help="last partition, included; default: the first"
    )
    made.add_argument(
        "--train-at",
        action="append",
        default=[],
        metavar="PARTITION",
        help="learn from the window that ends before this partition; may be given more than once",
    )
    made.add_argument(
        "--watch-to", metavar="PARTITION", help="last partition to predict and monitor; default: that of --to"
    )
    made.add_argument("--reason", default="", help="why; recorded with every run")
    made.add_argument(
        "--as-of",
        metavar="TIME",
        help="pretend that it is this moment (ISO with a zone): later labels and decisions do not exist",
    )


def run(args: argparse.Namespace) -> int:
    """`mlpipe run`."""
    from mlpipe.orchestration.locate import pipeline_of
    from mlpipe.orchestration.runs import execute, heads_of, plan, span
    from mlpipe.orchestration.runtime import LISTENERS, instant_of
    from mlpipe.records.codec import from_bytes
    from mlpipe.spec.calendar import WHOLE
    from mlpipe.views.progress import bars
    from mlpipe.views.summary import summary

    spec, defs = pipeline_of(args.pipeline, Path.cwd(), args.target)
    first, last = span(spec, args.first, args.last, args.train_at)
    if args.as_of:
        instant_of(args.as_of, "--as-of")
    train_at = args.train_at or ([WHOLE] if spec.partitions.every == "none" else [])
    if args.watch_to:
        spec.partitions.window(args.watch_to)
    why = {"reason": args.reason, "as_of": args.as_of}
    requests = plan(spec, first, last, train_at, watch_to=args.watch_to, **why)
    with bars() as (tell, listen):
        LISTENERS.append(listen)
        try:
            execute(spec, defs, requests, tell, _warn)
        finally:
            LISTENERS.remove(listen)
    store, ledger = _open(spec)
    heads = heads_of(spec, sorted({*spec.partitions.keys(first, last), *train_at}))
    evaluations = [
        from_bytes(store.get_record(spec.name, h.record))
        for k, h in heads["evaluation"].items()
        if k in train_at
    ]
    print(summary(spec.name, heads, evaluations, ledger.state()))
    return 0


# -- check --------------------------------------------------------------------------------------------------------


def _check(commands: Any) -> None:
    made = _command(
        commands,
        "check",
        check,
        "Load the pipelines of this project and say what is wrong with them, in one paragraph.",
        pipeline=False,
    )
    made.add_argument("pipeline", nargs="?", help="name of one pipeline; default: all of the project")


def check(args: argparse.Namespace) -> int:
    """`mlpipe check`."""
    from mlpipe.orchestration.definitions import PIPELINES
    from mlpipe.orchestration.locate import checked
    from mlpipe.orchestration.runtime import store_url
    from mlpipe.views.summary import described

    names = checked(Path.cwd(), args.target, args.pipeline)
    for name in names:
        print(described(PIPELINES[name], store_url(PIPELINES[name])))
    return 0


# -- decisions ----------------------------------------------------------------------------------------------------


def _decisions(commands: Any) -> None:
    promote_ = _command(
        commands,
        "promote",
        promote,
        "Make a registered version the champion.",
        "Its recorded gates must have passed; --override promotes all the same, and is recorded as such.",
    )
    promote_.add_argument("version", type=int, help="number of the version")
    promote_.add_argument("--reason", required=True, help="why; recorded")
    promote_.add_argument("--override", action="store_true", help="promote although its gates did not pass")
    back = _command(
        commands,
        "rollback",
        rollback,
        "Make an earlier champion champion again; its bundle is loaded and proved first.",
    )
    back.add_argument(
        "--to", type=int, metavar="VERSION", help="version to go back to; default: the previous champion"
    )
    back.add_argument("--reason", required=True, help="why; recorded")
    history_ = _command(commands, "history", history, "Who decided what, when and why.")
    history_.add_argument("--json", action="store_true", help="one JSON object a line")


def promote(args: argparse.Namespace) -> int:
    """`mlpipe promote`."""
    from mlpipe.ledger import promotion
    from mlpipe.orchestration.runtime import who

    spec, _, ledger = _pipeline(args)
    entry = promotion.promote(
        ledger, args.version, who(), args.reason, now=datetime.now(UTC), override=args.override
    )
    _mirrored(spec, ledger)
    print(f"{_moved(spec.name, entry)} now. Ledger entry {entry.number}.")
    return 0


def rollback(args: argparse.Namespace) -> int:
    """`mlpipe rollback`."""
    from mlpipe.ledger import promotion
    from mlpipe.ledger.fold import Version
    from mlpipe.orchestration.runtime import who

    spec, store, ledger = _pipeline(args)

    def prove(version: Version) -> None:
        """Load the old bundle and predict its input example: a version that cannot predict is no way back."""
        bundle = store.get_bundle(version.bundle, trusted=spec.model.trusted)
        bundle.predict(bundle.input_example)

    entry = promotion.rollback(ledger, args.to, who(), args.reason, now=datetime.now(UTC), prove=prove)
    _mirrored(spec, ledger)
    print(f"{_moved(spec.name, entry)} again. Ledger entry {entry.number}.")
    return 0


def history(args: argparse.Namespace) -> int:
    """`mlpipe history`."""
    from mlpipe.views.history import as_json, as_table

    spec, _, ledger = _pipeline(args)
    print(as_json(ledger.entries()) if args.json else as_table(spec.name, ledger.entries(), ledger.state()))
    return 0


def _moved(name: str, entry: "Entry") -> str:
    before = "nothing" if entry.from_version is None else f"{name}@{entry.from_version}"
    return f"{before} was in production; {name}@{entry.to_version} is"


def _pipeline(args: argparse.Namespace) -> "tuple[PipelineSpec, Store, Ledger]":
    from mlpipe.orchestration.locate import pipeline_of

    spec, _ = pipeline_of(args.pipeline, Path.cwd(), args.target)
    return (spec, *_open(spec))


def _open(spec: "PipelineSpec") -> "tuple[Store, Ledger]":
    from mlpipe.orchestration.runtime import ledger_of, open_store, store_url

    store = open_store(store_url(spec))
    return store, ledger_of(spec, store)


def _mirrored(spec: "PipelineSpec", ledger: "Ledger") -> None:
    """Show the decision in Dagster. The ledger is the truth: a mirror that fails is said, and repaired by the next run."""
    from mlpipe.orchestration.production import mirror_or_tell
    from mlpipe.orchestration.runs import instance

    try:
        with instance() as on:
            mirror_or_tell(on, spec, ledger, _warn)
    except MlpipeError as error:
        _warn(f"the decision is recorded, but Dagster does not show it yet: {error}")


# -- store --------------------------------------------------------------------------------------------------------


def _store(commands: Any) -> None:
    top = commands.add_parser(
        "store", help="Look after the object store.", description="Look after the object store."
    )
    verbs = top.add_subparsers(required=True, metavar="VERB")
    for name, call, text in (
        (
            "verify",
            store_verify,
            "Read every object, record and ledger entry, and say what is damaged or missing.",
        ),
        ("du", store_du, "How many objects of each kind there are, and their size."),
    ):
        made = verbs.add_parser(name, help=text, description=text)
        made.add_argument(
            "--store",
            metavar="URL",
            help="the store; default: $MLPIPE_STORE, else $DAGSTER_HOME/mlpipe, else ./.mlpipe",
        )
        made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
        made.set_defaults(call=call)


def _store_at(args: argparse.Namespace) -> "Store":
    from mlpipe.stores.place import default_url
    from mlpipe.stores.store import Store

    url = args.store or default_url()
    try:
        return Store.open(url, create=False)
    except NotFoundError:
        raise NotFoundError(
            f"there is no store at {url}", fix="Name it: --store, $MLPIPE_STORE or $DAGSTER_HOME."
        ) from None


def store_verify(args: argparse.Namespace) -> int:
    """`mlpipe store verify`."""
    from mlpipe.ledger.verify import verify_all
    from mlpipe.stores.verify import verify

    store = _store_at(args)
    report = verify(store)
    chains, problems = verify_all(store.backend)
    found = [*report.problems, *problems]
    print(
        f"{store.url}: {report.objects} objects, {report.records} records, {chains} ledger chains: "
        + ("nothing is wrong." if not found else f"{len(found)} problems.")
    )
    for problem in found:
        print(f"  - {problem}")
    return 1 if found else 0


def store_du(args: argparse.Namespace) -> int:
    """`mlpipe store du`."""
    from mlpipe.stores.verify import du
    from mlpipe.views.summary import sizes

    print(sizes(du(_store_at(args))))
    return 0
