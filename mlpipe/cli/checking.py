"""`mlpipe check`."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import command

if TYPE_CHECKING:
    from mlpipe.spec.pipeline import PipelineSpec

TEXT = "Load the pipelines of this project and say what is wrong with them, in one paragraph."
EPILOG = """\
With --smoke each pipeline is tried as a whole on a sample of its own data, in well under a minute: the sources are read, the contract
holds, labels and features are made, a model learns, beats the best constant answer, comes back from the store as it was, and answers
malformed rows properly. Nothing is written into store, ledger or Dagster. Exit code 0: nothing failed; 1: a check failed; otherwise the
code of the error that kept a pipeline from being loaded or its source from being read (mlpipe --help lists them).

examples:
  mlpipe check
  mlpipe check flights --smoke
  mlpipe check flights --smoke --rows 10000
  mlpipe check --smoke --json | jq '.checks[] | select(.status == "failed")'"""


def add(commands: Any) -> None:
    """Declare the command."""
    made = command(commands, "check", check, TEXT, EPILOG, pipeline=False)
    made.add_argument("pipeline", nargs="?", help="name of one pipeline; default: all of the project")
    made.add_argument(
        "--smoke", action="store_true", help="try everything on a sample of the data; what a CI calls"
    )
    made.add_argument(
        "--rows",
        type=_rows,
        metavar="N",
        help="with --smoke: rows to learn from and judge on, about; default: 2000",
    )
    made.add_argument(
        "--json",
        action="store_true",
        help="with --smoke: print one JSON object for each pipeline, a line each",
    )
    made.set_defaults(wrong=made.error)


def _rows(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 9 or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text!r}")
    return int(text)


def check(args: argparse.Namespace) -> int:
    """`mlpipe check`."""
    if not args.smoke and (args.rows or args.json):
        args.wrong(f"{'--rows' if args.rows else '--json'} needs --smoke")
    from mlpipe.orchestration.definitions import PIPELINES
    from mlpipe.orchestration.locate import checked
    from mlpipe.orchestration.runtime import store_url
    from mlpipe.views.summary import described

    started = time.perf_counter()
    names = checked(Path.cwd(), args.target, args.pipeline)
    if args.smoke:
        took = (time.perf_counter() - started) / len(names)
        return max(_smoked(PIPELINES[name], took, args) for name in names)
    for name in names:
        print(described(PIPELINES[name], store_url(PIPELINES[name])))
    return 0


def _smoked(spec: "PipelineSpec", took: float, args: argparse.Namespace) -> int:
    """Try one pipeline and print what was seen; the exit code."""
    from mlpipe.cli import EXIT_CODES
    from mlpipe.orchestration.runtime import now
    from mlpipe.stages.sample import ROWS
    from mlpipe.stages.smoke import failure, smoke
    from mlpipe.stages.trial import Answer, Check
    from mlpipe.views.smoke import as_json, as_text

    def tell(text: str) -> None:
        if sys.stderr.isatty():
            print(f"mlpipe: {spec.name}: {text} …", file=sys.stderr)

    loaded = Check("declaration", Answer("ok", "it loads, with its assets, jobs and sensors."), took)
    with _upstream(spec, args) as frames:
        found = smoke(spec, now(), now, rows=args.rows or ROWS, upstream=frames, tell=tell)
    print((as_json if args.json else as_text)(spec.name, [c.to_dict() for c in (loaded, *found)]))
    if args.debug:
        for raised in (c.error for c in found if c.error is not None):
            traceback.print_exception(raised)
    if all(c.answer.status != "failed" for c in found):
        return 0
    error = failure(found)
    return 1 if error is None else next(code for kind, code, _ in EXIT_CODES if isinstance(error, kind))


@contextmanager
def _upstream(spec: "PipelineSpec", args: argparse.Namespace) -> Iterator[Mapping[str, Callable[[str], Any]]]:
    """Within the body: how rows of other assets are read; nothing where the pipeline reads none, and without a Dagster instance."""
    from mlpipe.orchestration.locate import pipeline_of
    from mlpipe.orchestration.runs import instance
    from mlpipe.orchestration.upstream import readers
    from mlpipe.spec.sources import UpstreamSource

    reads = any(isinstance(s, UpstreamSource) for s in spec.sources.values())
    if not reads or not os.environ.get("DAGSTER_HOME"):
        yield {}
        return
    _, defs = pipeline_of(spec.name, Path.cwd(), args.target)
    with instance() as on, readers(spec, defs, on) as frames:
        yield frames
