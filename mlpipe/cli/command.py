"""What commands have in common: how one is declared, and how it finds its pipeline, store and ledger."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.errors import MlpipeError, NotFoundError

if TYPE_CHECKING:
    from mlpipe.ledger.chain import Ledger
    from mlpipe.spec.pipeline import PipelineSpec
    from mlpipe.stores.store import Store

DEBUG = "show the traceback of an error"


def warn(text: str) -> None:
    """Say what did not go well and stops nothing."""
    print(f"mlpipe: {text}", file=sys.stderr)


def command(
    commands: Any,
    name: str,
    call: Callable[[argparse.Namespace], int | None],
    text: str,
    epilog: str = "",
    *,
    pipeline: bool = True,
    target: bool = True,
) -> Any:
    """Declare a command. `call` does it and returns its exit code; with `pipeline` it takes the name of one, with `target` its place."""
    made = commands.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.set_defaults(call=call)
    made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
    if pipeline:
        made.add_argument("pipeline", help="name of the pipeline")
    if target:
        made.add_argument(
            "-f",
            "--target",
            metavar="FILE_OR_MODULE",
            help="where its definitions are; default: the project or workspace in this folder, or the project NAME/",
        )
    return made


def chosen(args: argparse.Namespace) -> "tuple[PipelineSpec, Store, Ledger]":
    """The pipeline that is named, its store and its ledger."""
    from mlpipe.orchestration.locate import pipeline_of

    spec, _ = pipeline_of(args.pipeline, Path.cwd(), args.target)
    return (spec, *opened(spec))


def opened(spec: "PipelineSpec") -> "tuple[Store, Ledger]":
    """Store and ledger of a pipeline."""
    from mlpipe.orchestration.runtime import ledger_of, open_store, store_url

    store = open_store(store_url(spec))
    return store, ledger_of(spec, store)


def store_at(args: argparse.Namespace, *, create: bool = False) -> "Store":
    """The store that `--store` names, else that of the project in this folder, or the default one.

    With `create` it is made where there is none.
    """
    from mlpipe.orchestration.settled import settle
    from mlpipe.stores.place import default_url
    from mlpipe.stores.store import Store

    if args.store is None:
        settle(Path.cwd())
    url = args.store or default_url()
    try:
        return Store.open(url, create=create)
    except NotFoundError:
        raise NotFoundError(
            f"there is no store at {url}", fix="Name it: --store, $MLPIPE_STORE or $DAGSTER_HOME."
        ) from None


def mirrored(spec: "PipelineSpec", ledger: "Ledger") -> None:
    """Show the decision in Dagster. The ledger is the truth: a mirror that fails is said, and repaired by the next run."""
    from mlpipe.orchestration.indexing import decided
    from mlpipe.orchestration.production import mirror_or_tell
    from mlpipe.orchestration.runs import instance

    decided(ledger, warn)
    try:
        with instance() as on:
            mirror_or_tell(on, spec, ledger, warn)
    except MlpipeError as error:
        warn(f"the decision is recorded, but Dagster does not show it yet: {error}")
