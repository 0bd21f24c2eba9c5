"""`mlpipe promote`, `rollback`, `history`: what is in production, and who decided it."""

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import chosen, command, mirrored

if TYPE_CHECKING:
    from mlpipe.ledger.entry import Entry


def add(commands: Any) -> None:
    """Declare the commands."""
    promote_ = command(
        commands,
        "promote",
        promote,
        "Make a registered version the champion.",
        "Its recorded gates must have passed; --override promotes all the same, and is recorded as such.",
    )
    promote_.add_argument("version", type=int, help="number of the version")
    promote_.add_argument("--reason", required=True, help="why; recorded")
    promote_.add_argument("--override", action="store_true", help="promote although its gates did not pass")
    back = command(
        commands,
        "rollback",
        rollback,
        "Make an earlier champion champion again; its bundle is loaded and proved first.",
    )
    back.add_argument(
        "--to", type=int, metavar="VERSION", help="version to go back to; default: the previous champion"
    )
    back.add_argument("--reason", required=True, help="why; recorded")
    history_ = command(commands, "history", history, "Who decided what, when and why.")
    history_.add_argument("--json", action="store_true", help="one JSON object a line")


def promote(args: argparse.Namespace) -> int:
    """`mlpipe promote`."""
    from mlpipe.ledger import promotion
    from mlpipe.orchestration.runtime import who

    spec, _, ledger = chosen(args)
    entry = promotion.promote(
        ledger, args.version, who(), args.reason, now=datetime.now(UTC), override=args.override
    )
    mirrored(spec, ledger)
    print(f"{_moved(spec.name, entry)} now. Ledger entry {entry.number}.")
    return 0


def rollback(args: argparse.Namespace) -> int:
    """`mlpipe rollback`."""
    from mlpipe.ledger import promotion
    from mlpipe.ledger.fold import Version
    from mlpipe.orchestration.runtime import who

    spec, store, ledger = chosen(args)

    def prove(version: Version) -> None:
        """Load the old bundle and predict its input example: a version that cannot predict is no way back."""
        bundle = store.get_bundle(version.bundle, trusted=spec.model.trusted)
        bundle.predict(bundle.input_example)

    entry = promotion.rollback(ledger, args.to, who(), args.reason, now=datetime.now(UTC), prove=prove)
    mirrored(spec, ledger)
    print(f"{_moved(spec.name, entry)} again. Ledger entry {entry.number}.")
    return 0


def history(args: argparse.Namespace) -> int:
    """`mlpipe history`."""
    from mlpipe.views.history import as_json, as_table

    spec, _, ledger = chosen(args)
    print(as_json(ledger.entries()) if args.json else as_table(spec.name, ledger.entries(), ledger.state()))
    return 0


def _moved(name: str, entry: "Entry") -> str:
    before = "nothing" if entry.from_version is None else f"{name}@{entry.from_version}"
    return f"{before} was in production; {name}@{entry.to_version} is"
