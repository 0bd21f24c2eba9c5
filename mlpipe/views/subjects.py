"""What is needed of a record to compare it, gathered from the shelf: its evaluation, its versions, its origin, the files of its code."""

import math
from collections.abc import Sequence

from mlpipe.index.distributions import moved
from mlpipe.index.origins import origin_of
from mlpipe.index.shelf import Shelf
from mlpipe.records.archives import files
from mlpipe.records.record import Record
from mlpipe.views.comparison import Comparison, Subject, compare


def subject_of(shelf: Shelf, name: str, record: Record) -> Subject:
    """A record with all that it is compared by. An archive that the store does not have counts as none."""
    archive = record.code.archive
    held = files(shelf.store.get_bytes(archive), archive) if archive and shelf.store.exists(archive) else {}
    trained = record.stage in ("train", "trial")
    return Subject(
        name=name,
        record=record,
        evaluation=shelf.evaluation_of(record) if trained else None,
        live=shelf.monitor_of(record) if trained else None,
        versions=tuple(shelf.versions_of(record)) if trained else (),
        origin=origin_of(shelf, record),
        files=held,
    )


def compared(shelf: Shelf, names: Sequence[str]) -> Comparison:
    """Compare what some texts refer to.

    Raises
    ------
    NotFoundError
        One refers to nothing, or to several records.
    """
    subjects = [subject_of(shelf, name, shelf.one(name)) for name in names]
    drifts = moved(shelf.store, [s.origin for s in subjects]) if len(subjects) > 1 else {}
    psi = {n: [0.0, *(math.nan if d is None else d.psi for d in found[1:])] for n, found in drifts.items()}
    return compare(subjects, psi)
