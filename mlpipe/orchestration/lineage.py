"""Lineage for others, as it is made: each step sends the events of its records, if somebody asked for them."""

from collections.abc import Callable, Sequence

from mlpipe.errors import MlpipeError
from mlpipe.records.record import Record


def lineage_sent(records: Sequence[Record], store: str, warn: Callable[[str], None]) -> None:
    """Send OpenLineage events of what a step made. A catalogue that cannot be reached fails no step: it is said, and can be made up for."""
    # The client is imported only where lineage is on.
    from mlpipe.notify.lineage import destination, send

    to = destination()
    if not to or not records:
        return
    try:
        send(records, store, to)
    except MlpipeError as error:
        warn(f"the work is done and on record, but lineage was not told: {error}")
