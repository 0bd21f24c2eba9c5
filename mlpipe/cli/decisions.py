"""`mlpipe promote`, `unstage`, `rollback`, `acknowledge`, `history`, `as-of`, `ledger verify`: what is in production, and who decided."""

import argparse
import atexit
import gc
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from mlpipe.cli.command import chosen, command, mirrored, warn
from mlpipe.errors import MlpipeError, NotFoundError, did_you_mean

if TYPE_CHECKING:
    from mlpipe.ledger.chain import Ledger
    from mlpipe.ledger.entry import Entry
    from mlpipe.spec.pipeline import PipelineSpec
    from mlpipe.stores.store import Store

AS_OF = """\
A time without a zone is read in the pipeline's own (the time zone of its partitions), and the answer says so. A date alone means
the end of that day: the last champion that it had.

--clock data   decisions that were in effect by then, whenever they were written down: who answered for predictions at that moment
--clock wall   decisions that had been recorded by then, whatever moment they were for: what one could have known at that moment
The two differ where a past was lived through later, by a replay or with --as-of.

examples:
  mlpipe as-of flights "2013-07-03 14:03"
  mlpipe as-of flights 2013-07-03T14:03-04:00 --clock wall --json"""
VERIFY = """\
Every entry is read anew: its bytes, its hash, its link to the one before, and whether the decision was possible. That finds every
edit, removal and exchange. A tail that was cut off, and a chain that was written anew, are found by what Dagster knows of it: the
events of <pipeline>/production carry the ledger's head. Exit code 0 when nothing is wrong, 1 otherwise.

example:
  mlpipe ledger verify flights"""


def add(commands: Any) -> None:
    """Declare the commands."""
    promote_ = _declared(
        commands,
        "promote",
        promote,
        "Make a registered version the champion, or put it onto staging.",
        "Its recorded gates must have passed: to go to production all, onto staging those that are declared for it. --override promotes "
        "all the same, and is recorded as such. What stands on staging answers nobody: it is read as PIPELINE@staging.\n\n"
        'examples:\n  mlpipe promote flights 7 --reason "the gate on f1 was set too high" --override\n'
        '  mlpipe promote flights 8 --to staging --reason "for the load test"',
    )
    promote_.add_argument(
        "--to", choices=("staging", "production"), default="production", help="default: production"
    )
    promote_.add_argument("version", type=int, help="number of the version")
    promote_.add_argument("--reason", required=True, help="why; recorded")
    promote_.add_argument("--override", action="store_true", help="promote although its gates did not pass")
    off = _declared(
        commands,
        "unstage",
        unstage,
        "Take a version off staging: it is a candidate again.",
        'example:\n  mlpipe unstage flights 8 --reason "the load test is over"',
    )
    off.add_argument("version", type=int, help="number of the version")
    off.add_argument("--reason", required=True, help="why; recorded")
    back = _declared(
        commands,
        "rollback",
        rollback,
        "Make an earlier champion champion again; its bundle is loaded and proved first.",
        "Automatic promotion is paused from then on, so that the next night does not undo it; 'mlpipe acknowledge' ends the pause.\n\n"
        'example:\n  mlpipe rollback flights --reason "complaints since Monday"',
    )
    back.add_argument(
        "--to", type=int, metavar="VERSION", help="version to go back to; default: the previous champion"
    )
    back.add_argument("--reason", required=True, help="why; recorded")
    acknowledge_ = _declared(
        commands,
        "acknowledge",
        acknowledge,
        "End the pause of automatic promotion after a rollback.",
        "The model that was rolled back stays barred from automatic promotion; newer ones may be promoted again.\n\n"
        'example:\n  mlpipe acknowledge flights --reason "the broken feed is mended since 2013-07-05"',
    )
    acknowledge_.add_argument("--reason", required=True, help="why; recorded")
    _add_questions(commands)


def _add_questions(commands: Any) -> None:
    """Declare the commands that change nothing."""
    _declared(
        commands,
        "history",
        history,
        "Who decided what, when and why.",
        "example:\n  mlpipe history flights --json | tail -1",
        json_help="one JSON object a line",
    )
    asked = _declared(
        commands,
        "as-of",
        as_of,
        "What was in production at a moment, who decided it, when and why.",
        AS_OF,
    )
    asked.add_argument("moment", help='such as "2013-07-03 14:03", or ISO with a zone; a date alone: its end')
    asked.add_argument(
        "--clock",
        choices=("data", "wall"),
        default="data",
        help="decisions in effect by then (data, the default), or recorded by then (wall)",
    )
    text = "Look after the ledger of decisions."
    verbs = commands.add_parser("ledger", help=text, description=text).add_subparsers(
        required=True, metavar="VERB"
    )
    _declared(
        verbs, "verify", verify, "Read the whole chain of decisions, and say what was tampered with.", VERIFY
    )


def _declared(
    commands: Any, name: str, call: Any, text: str, epilog: str, json_help: str = "print JSON"
) -> Any:
    made = command(commands, name, _brief(call), text, epilog)
    made.add_argument(
        "--ledger",
        metavar="NAME",
        help="another chain of decisions of this pipeline, such as a replay's; default: its deployment's",
    )
    made.add_argument("--json", action="store_true", help=json_help)
    return made


def _brief(call: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A command that ends soon, without the garbage collector.

    Nearly all of its work is imports, and what is imported stays. Looking through it again and again, and once more when Python
    ends, takes a third of the command's time.
    """

    def brief(args: argparse.Namespace) -> int:
        was_on = gc.isenabled()
        gc.disable()
        atexit.register(gc.freeze)
        try:
            return call(args)
        finally:
            if was_on:
                gc.enable()

    return brief


def promote(args: argparse.Namespace) -> int:
    """`mlpipe promote`."""
    from mlpipe.ledger import promotion
    from mlpipe.orchestration.runtime import who
    from mlpipe.stages.evidence import against_promotion, against_staging

    spec, store, ledger = _asked(args)
    staging = args.to == "staging"
    entry = (promotion.stage if staging else promotion.promote)(
        ledger,
        args.version,
        who(),
        args.reason,
        now=datetime.now(UTC),
        override=args.override,
        objections=partial(against_staging if staging else against_promotion, spec, store),
    )
    told = f"{spec.name}@{entry.version} is on staging" if staging else _moved(spec.name, entry)
    return _decided(args, spec, ledger, entry, f"{told} now.")


def unstage(args: argparse.Namespace) -> int:
    """`mlpipe unstage`."""
    from mlpipe.ledger import promotion
    from mlpipe.orchestration.runtime import who

    spec, _, ledger = _asked(args)
    entry = promotion.unstage(ledger, args.version, who(), args.reason, now=datetime.now(UTC))
    return _decided(args, spec, ledger, entry, f"{spec.name}@{entry.version} is a candidate again.")


def rollback(args: argparse.Namespace) -> int:
    """`mlpipe rollback`."""
    # The proof needs it, and its import looks through every module there is: before Dagster's thousands that takes half as long.
    import skops.io  # noqa: F401

    from mlpipe.ledger import promotion
    from mlpipe.ledger.fold import Version
    from mlpipe.orchestration.runtime import who

    spec, store, ledger = _asked(args)

    def prove(version: Version) -> None:
        """Load the old bundle and predict its input example: a version that cannot predict is no way back."""
        bundle = store.get_bundle(version.bundle, trusted=spec.model.trusted)
        bundle.predict(bundle.input_example)

    entry = promotion.rollback(ledger, args.to, who(), args.reason, now=datetime.now(UTC), prove=prove)
    return _decided(args, spec, ledger, entry, f"{_moved(spec.name, entry)} again.")


def acknowledge(args: argparse.Namespace) -> int:
    """`mlpipe acknowledge`."""
    from mlpipe.ledger import promotion
    from mlpipe.orchestration.runtime import who

    spec, _, ledger = _asked(args)
    entry = promotion.acknowledge(ledger, who(), args.reason, now=datetime.now(UTC))
    text = f"{spec.name}: the pause is over; models are promoted automatically again."
    return _decided(args, spec, ledger, entry, text)


def history(args: argparse.Namespace) -> int:
    """`mlpipe history`."""
    from mlpipe.ledger.verify import others
    from mlpipe.views.history import as_json, as_table

    spec, _, ledger = _asked(args)
    entries = ledger.entries()
    rest = [] if entries else others(ledger.backend, ledger)
    print(as_json(entries) if args.json else as_table(spec.name, entries, ledger.state(), args.ledger, rest))
    return 0


def as_of(args: argparse.Namespace) -> int:
    """`mlpipe as-of`."""
    from mlpipe.views.history import Answer, as_of_json, as_of_text

    spec, _, ledger = _asked(args)
    moment, note = moment_of(args.moment, spec.partitions.zone)
    then = ledger.state(as_of=moment) if args.clock == "data" else ledger.state(known_at=moment)
    answer = Answer(
        name=spec.name,
        ledger=ledger.deployment,
        moment=moment,
        clock=args.clock,
        zone=spec.partitions.zone,
        note=note,
        state=then,
        now=ledger.state(),
        entries=ledger.entries(),
    )
    print(as_of_json(answer) if args.json else as_of_text(answer))
    return 0


def verify(args: argparse.Namespace) -> int:
    """`mlpipe ledger verify`."""
    spec, _, ledger = _asked(args)
    known = _mirrored_entries(args, spec)
    findings = ledger.verify(*(known or ()))
    count = None if findings else len(ledger.entries())
    head = max(known, key=lambda pair: pair[0]) if known else None
    if args.json:
        found = [{"what": f.what, "where": f.where, "fix": f.fix} for f in findings]
        told = {"pipeline": spec.name, "ledger": ledger.deployment, "entries": count, "mirror_head": head}
        print(json.dumps({**told, "findings": found}, ensure_ascii=False))
    elif findings:
        print(f"{spec.name}: {len(findings)} things are wrong with {ledger.folder}:")
        for finding in findings:
            print(f"  - {finding}")
    else:
        checked = (
            f"{spec.name}: {count} entries of {ledger.folder} are whole (bytes, hashes, links, decisions); "
        )
        if head is not None:
            print(f"{checked}Dagster knows the chain up to entry {head[0]}, and agrees.")
        else:
            print(f"{checked}nothing to compare them with, so a tail that was cut off would not show.")
    return 1 if findings else 0


def moment_of(text: str, zone: ZoneInfo) -> tuple[datetime, str]:
    """Instant that somebody wrote, and how it was read when it was not written in full.

    Parameters
    ----------
    text
        ISO, with a space or a ``T``. Without a zone it is local time in `zone`. A date alone is its last microsecond there.
    zone
        The pipeline's own.

    Raises
    ------
    MlpipeError
        It is no time; or clocks skipped it, or showed it twice, when they were changed.
    """
    fix = 'Write it like "2013-07-03 14:03", 2013-07-03T14:03-04:00, or 2013-07-03 for the end of that day.'
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is not None:
        following = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)
        end = following.astimezone(UTC) - timedelta(microseconds=1)
        return end, f"{text!r} was read as the end of that day in the pipeline's time zone, {zone.key}."
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        raise MlpipeError(f"{text!r} is no time", fix=fix) from None
    if written.tzinfo is not None:
        return written.astimezone(UTC), ""
    either = [written.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    first, second = (t.astimezone(UTC) for t in either)
    if first != second:
        there = [t.astimezone(zone).replace(tzinfo=None) == written for t in (first, second)]
        what = "shows twice" if all(there) else "skips"
        offsets = " or ".join(t.isoformat() for t in either)
        raise MlpipeError(
            f"{text!r} is a time that the clock of {zone.key} {what}", fix=f"Say which: {offsets}."
        )
    return first, f"{text!r} has no zone and was read in the pipeline's, {zone.key}."


def _asked(args: argparse.Namespace) -> "tuple[PipelineSpec, Store, Ledger]":
    """The pipeline that is named, its store, and the chain that is asked for.

    Raises
    ------
    NotFoundError
        When the chain has no entries; with the names of those that have.
    """
    spec, store, ledger = chosen(args)
    if args.ledger in (None, spec.deployment):
        return spec, store, ledger
    from mlpipe.ledger.verify import chains
    from mlpipe.orchestration.runtime import ledger_of

    names = [deployment for _, segment, deployment in chains(store.backend, spec.name) if segment is None]
    if args.ledger not in names:
        raise NotFoundError(
            f"pipeline {spec.name!r} has no ledger {args.ledger!r}",
            where=store.backend.url,
            fix=did_you_mean(args.ledger, names) or "Nothing was decided yet in any.",
        )
    return spec, store, ledger_of(spec, store, args.ledger)


def _is_own(args: argparse.Namespace, spec: "PipelineSpec") -> bool:
    """Whether it is the deployment's own chain, which Dagster mirrors."""
    return args.ledger in (None, spec.deployment)


def _decided(
    args: argparse.Namespace, spec: "PipelineSpec", ledger: "Ledger", entry: "Entry", text: str
) -> int:
    """Show a decision in Dagster, and tell it: what changed, and whether models are promoted automatically."""
    from mlpipe.views.history import as_json, paused

    if _is_own(args, spec):
        mirrored(spec, ledger)
    if args.json:
        print(as_json([entry]))
        return 0
    print(f"{text} Ledger entry {entry.number}.")
    for line in paused(spec.name, ledger.state(), args.ledger):
        print(line)
    return 0


def _moved(name: str, entry: "Entry") -> str:
    before = "nothing" if entry.from_version is None else f"{name}@{entry.from_version}"
    return f"{before} was in production; {name}@{entry.to_version} is"


def _mirrored_entries(args: argparse.Namespace, spec: "PipelineSpec") -> list[tuple[int, str]] | None:
    """What Dagster knows of the chain; None, and the reason told, when it cannot be asked. A replay's chain is not mirrored."""
    if not _is_own(args, spec):
        return None
    from mlpipe.orchestration.production import known_or_told
    from mlpipe.orchestration.runs import instance

    try:
        with instance() as on:
            return known_or_told(on, spec, warn)
    except MlpipeError as error:
        warn(f"Dagster's mirror is not compared: {error}")
        return None
