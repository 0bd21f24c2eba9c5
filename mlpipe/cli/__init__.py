"""The command `mlpipe`: parse, call, print. Each module holds the commands of one kind."""

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence

from mlpipe.cli import checking, decisions, replaying, running, starting, storing
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
EPILOG = "exit codes: 0 done; 2 the command line is wrong; " + "; ".join(
    f"{code} {text}" for _, code, text in sorted(EXIT_CODES, key=lambda e: e[1])
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 when it did what was asked; see `mlpipe --help` for the other codes."""
    # Taking a million objects apart at the end takes most of a second, and nobody waits for the memory.
    atexit.register(gc.freeze)
    args = parser().parse_args(argv)
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


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="mlpipe", description="The machine-learning lifecycle as one Dagster asset graph.", epilog=EPILOG
    )
    top.add_argument("--debug", action="store_true", help=DEBUG)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for kind in (starting, running, replaying, checking, decisions, storing):
        kind.add(commands)
    return top
