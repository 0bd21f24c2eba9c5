"""The step's own write into the index. The store holds the truth: an index that cannot be reached is told, and made up for by a sync."""

from collections.abc import Callable, Sequence

import dagster as dg

from mlpipe.errors import MlpipeError
from mlpipe.index.index import Index
from mlpipe.index.place import index_url
from mlpipe.ledger.chain import Ledger
from mlpipe.records.record import Record

Tell = Callable[[str], None]
_MADE_UP = "'mlpipe index sync' makes up for it."


def indexed(on: dg.DagsterInstance, store: str, records: Sequence[Record], tell: Tell) -> None:
    """Add records, which are in a store (its address) already, to the index of an instance."""
    if not records:
        return
    try:
        with Index.open(index_url(on.root_directory), create=True) as index:
            index.add(records, store)
    except (MlpipeError, OSError) as error:
        tell(f"{len(records)} records are in the store, and not in the index yet: {error}. {_MADE_UP}")


def decided(ledger: Ledger, tell: Tell, on: dg.DagsterInstance | None = None) -> None:
    """Show the index of an instance (default: of $DAGSTER_HOME) what a chain of decisions says now."""
    try:
        home = None if on is None else on.root_directory
        with Index.open(index_url(home), create=True) as index:
            index.decide(ledger.pipeline, ledger.segment, ledger.deployment, ledger.entries())
    except (MlpipeError, OSError) as error:
        tell(f"the decision is recorded, and not in the index yet: {error}. {_MADE_UP}")
