"""The command `mlpipe`: parse, call, print. Each module holds the commands of one kind."""

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence

from mlpipe.cli import (
    asking,
    backtesting,
    checking,
    decisions,
    drifting,
    estimating,
    exchanging,
    levels,
    looking,
    metrics,
    replaying,
    reporting,
    reproducing,
    running,
    starting,
    storing,
    tracing,
    trying,
)
from mlpipe.cli.command import DEBUG, warn
from mlpipe.errors import (
    LedgerConflictError,
    MlpipeError,
    NotFoundError,
    SourceError,
    SpecError,
    StoreError,
    UserCodeError,
)

EXIT_CODES: tuple[tuple[type[MlpipeError], int, str], ...] = (
    (SpecError, 3, "the declaration of a pipeline is wrong"),
    (NotFoundError, 4, "something that was named does not exist"),
    (SourceError, 5, "a source could not be read"),
    (UserCodeError, 6, "a function of yours raised or returned the wrong thing"),
    (LedgerConflictError, 7, "somebody else decided first"),
    (StoreError, 8, "the store is damaged or cannot be written"),
    (MlpipeError, 1, "any other error of mlpipe"),
)
EXITS = tuple(
    sorted(
        [
            (0, "done"),
            (2, "the command line is wrong"),
            (reproducing.DIFFERENT, "what was made again came out different"),
            (130, "interrupted"),
            *((c, text) for _, c, text in EXIT_CODES),
        ]
    )
)
"""Every exit code, and what it means."""
EPILOG = "exit codes: " + "; ".join(f"{code} {text}" for code, text in EXITS)


LONGEST = 1000
"""Characters of a line of a message; of what is longer, the middle is left out."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 when it did what was asked; see `mlpipe --help` for the other codes."""
    # Taking a million objects apart at the end takes most of a second, and nobody waits for the memory.
    atexit.register(gc.freeze)
    # Of a million that stay, to look for garbage at every 700th takes a tenth of a command's time.
    gc.set_threshold(10_000, 10, 10)
    given = sys.argv[1:] if argv is None else list(argv)
    top = parser()
    args = top.parse_args(given)
    for text in given:
        wrong = odd(text)
        if wrong:
            top.error(wrong)
    try:
        code = args.call(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        warn("interrupted; what was recorded stays, and the same command goes on from there")
        code = 130
    except Exception as error:
        if args.debug:
            raise
        code = _told(error)
    sys.exit(code or 0)


def odd(argument: str) -> str:
    """What is wrong with an argument that no command can mean: it is empty, or holds what no name, path or text may. Else empty."""
    if not argument or (argument.startswith("--") and argument.endswith("=")):
        # A shell variable that is not set: taken for "not given", it would ask for all there is.
        return "an argument is empty; leave the option out, or give it a value"
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError:
        return f"an argument is no text in UTF-8: {ascii(argument)[:80]}"
    return f"an argument holds a NUL: {ascii(argument)[:80]}" if "\0" in argument else ""


def shown(text: str) -> str:
    """A message for the terminal: what a stranger wrote must not steer it, and no line is endless."""
    lines = ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in text.split("\n")]
    half = LONGEST // 2 - 2
    return "\n".join(x if len(x) <= LONGEST else f"{x[:half]} … {x[-half:]}" for x in lines)


def _told(error: Exception) -> int:
    """Print the paragraph of an error, and give its exit code."""
    known: BaseException | None = error if isinstance(error, MlpipeError) else None
    if known is None:
        from mlpipe.orchestration.causes import cause, first_line, place, refused

        known = cause(error)
        known = known or refused(error)
    if known is None:
        where = place(error)
        print(shown(f"mlpipe: {where + ': ' if where else ''}{first_line(error)}"), file=sys.stderr)
        print("Put --debug at the end of the command to see the traceback.", file=sys.stderr)
        return 1
    print(shown(f"mlpipe: {known}"), file=sys.stderr)
    return next(c for kind, c, _ in EXIT_CODES if isinstance(known, kind))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="mlpipe", description="The machine-learning lifecycle as one Dagster asset graph.", epilog=EPILOG
    )
    top.add_argument("--debug", action="store_true", help=DEBUG)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for kind in (
        starting,
        running,
        replaying,
        backtesting,
        checking,
        decisions,
        trying,
        reproducing,
        asking,
        looking,
        drifting,
        estimating,
        levels,
        tracing,
        reporting,
        exchanging,
        metrics,
        storing,
    ):
        kind.add(commands)
    return top
