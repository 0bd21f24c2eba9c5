"""The step's own write into the index. The store holds the truth: an index that cannot be reached is told, and made up for by a sync."""

import atexit
import os
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
        with opened(index_url(on.root_directory)) as index:
            index.add(records, store)
    except (MlpipeError, OSError) as error:
        tell(f"{len(records)} records are in the store, and not in the index yet: {error}. {_MADE_UP}")


_HELD: dict[tuple[int, str], Index] = {}
"""By process and address: an open index that nobody uses."""


def opened(url: str) -> Index:
    """The index of an address, for one step's write.

    Whoever closes a SQLite file last writes its log back, and waits for the disk longer than all the rest takes. So each process holds
    the file that it wrote to open until it ends, or writes to another one.
    """
    key = os.getpid(), url
    if key not in _HELD and url.startswith("sqlite:"):
        released()
        _HELD[key] = Index.open(url, create=True)
    return Index.open(url, create=True)


@atexit.register
def released() -> None:
    """Close what this process holds open. What it has from a process that forked it is not even closed: SQLite forbids that."""
    for key in [k for k in _HELD if k[0] == os.getpid()]:
        _HELD.pop(key).close()


def decided(ledger: Ledger, tell: Tell, on: dg.DagsterInstance | None = None) -> None:
    """Show the index of an instance (default: of $DAGSTER_HOME) what a chain of decisions says now."""
    try:
        home = None if on is None else on.root_directory
        with opened(index_url(home)) as index:
            index.decide(ledger.pipeline, ledger.segment, ledger.deployment, ledger.entries())
    except (MlpipeError, OSError) as error:
        tell(f"the decision is recorded, and not in the index yet: {error}. {_MADE_UP}")
