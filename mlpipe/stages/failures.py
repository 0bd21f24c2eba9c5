"""Partitions that fail in a step of many: each is told with its place, none holds up the others, and one error names them all."""

from collections.abc import Callable
from typing import TypeVar

from mlpipe.errors import BundleError, Finding, LedgerError, MlpipeError, StoreError, TransientError
from mlpipe.spec.calendar import WHOLE
from mlpipe.stages.deadline import TooSlowError

IN_A_ROW, SLOW = 10, 5
"""A step gives up after so many partitions that failed one after the other, for what is broken is so in all of them. One that ran into its
time limit counts for five: the others would cost as much."""
MENDED = "The others are done. Mend these, and run them again."
Value = TypeVar("Value")


def attempted(work: Callable[[], Value]) -> Value | MlpipeError:
    """What some work gives, or the error that only its own partition is to blame for. Other errors are raised."""
    try:
        return work()
    except MlpipeError as error:
        if stops(error):
            raise
        return error


def stops(error: MlpipeError) -> bool:
    """Whether an error would meet every other partition too: a store that cannot be written, a ledger that is broken."""
    return isinstance(error, StoreError | LedgerError) and not isinstance(error, BundleError)


def weight(error: MlpipeError) -> int:
    """How much a failure counts among those in a row."""
    return SLOW if isinstance(error, TooSlowError) else 1


def placed(error: MlpipeError, pipeline: str, asset: str, key: str = WHOLE) -> MlpipeError:
    """The error, with its pipeline, and its partition, where it says none. The places of a store and a ledger stand for themselves."""
    if stops(error) or error.partitions:
        return error
    told = error.where
    missing = [] if f"pipeline {pipeline}" in told else [f"pipeline {pipeline}"]
    if key != WHOLE and f"partition {key}" not in told:
        missing.append(f"partition {key}")
    if f"pipeline {pipeline}" not in told:
        missing.append(asset)
    if f"pipeline {pipeline}" in told and missing:
        # The pipeline is named first, then the partition, then what was looked at.
        head, _, rest = told.partition(f"pipeline {pipeline}")
        parts = [f"{head}pipeline {pipeline}", *missing, rest.lstrip(", ")]
    else:
        parts = [*missing, told]
    error.where = ", ".join(p for p in parts if p)
    return error


class Failures:
    """The partitions of one step that failed, in order."""

    def __init__(self, pipeline: str, asset: str, total: int) -> None:
        self._pipeline, self._asset, self._total = pipeline, asset, total
        self._errors: dict[str, MlpipeError] = {}
        self._row = 0

    def add(self, key: str, error: MlpipeError, *, tried: bool) -> bool:
        """Take note of a failure; False when the step should give up. What was known beforehand (`tried` is false) costs no time."""
        self._errors[key] = placed(error, self._pipeline, self._asset, key)
        self._row += weight(error) if tried else 0
        return self._row < IN_A_ROW

    def went_on(self) -> None:
        """A partition was done."""
        self._row = 0

    def raised(self) -> None:
        """Raise one error for all of them, if there are any: what may pass comes first, for then the step is tried again.

        Raises
        ------
        MlpipeError
            The only one as it is; or, of several, the first, with each of them as a finding. `partitions` names them, where
            others were done.
        """
        if not self._errors:
            return
        keys, errors = tuple(self._errors), list(self._errors.values())
        first = next((e for e in errors if isinstance(e, TransientError)), errors[0])
        if len(errors) > 1:
            first.findings = tuple(map(finding, errors))
            first.what = f"{len(errors)} of {self._total} partitions failed"
            first.where = f"pipeline {self._pipeline}, {self._asset}"
            first.fix = MENDED
        if self._row >= IN_A_ROW:
            first.what += "; the step gave up"
            first.fix = "Mend what is wrong with them, and run them again."
        elif len(errors) < self._total:
            first.partitions, first.step = keys, self._asset
        raise first


def finding(error: MlpipeError) -> Finding:
    """An error as one of several: in one line, with the first of its own findings."""
    what = error.what.rstrip(".")
    if error.findings:
        more = f", and {len(error.findings) - 1} more" if len(error.findings) > 1 else ""
        what = f"{what}: {str(error.findings[0]).rstrip('.')}{more}"
    return Finding(f"{what}.", error.where, error.fix)
