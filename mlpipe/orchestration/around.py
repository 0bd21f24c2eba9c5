"""A run of many partitions, of which some fail: what is left to do for the others is done."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

import dagster as dg

from mlpipe.errors import MlpipeError
from mlpipe.orchestration.jobs import JOBS
from mlpipe.orchestration.production import mirror_or_tell
from mlpipe.orchestration.runs import Request, instance, run
from mlpipe.orchestration.runtime import ledger_of, open_store, store_url
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.failures import MENDED, finding

TRAINING = ("training", "backtest")
"""Jobs that learn for a partition from others, whatever became of itself."""


def execute(
    spec: PipelineSpec,
    defs: dg.Definitions,
    requests: Sequence[Request],
    tell: Callable[[Request, str], None],
    warn: Callable[[str], None],
) -> list[MlpipeError]:
    """Run requests one after the other. Partitions that fail are left out of what follows.

    `tell` hears of each before it starts, with an empty run id, and after it ended; `warn` of what did not go well and stops nothing.

    Returns
    -------
    list of MlpipeError
        One for each step in which partitions failed.
    """
    errors: list[MlpipeError] = []
    with instance() as on:
        try:
            for request in requests:
                failed = {key for error in errors for key in error.partitions}
                errors += run_around(spec, defs, on, request, tell, failed)
        except MlpipeError:
            for error in errors:
                warn(str(error))
            raise
        mirror_or_tell(on, spec, ledger_of(spec, open_store(store_url(spec))), warn)
    return errors


def run_around(
    spec: PipelineSpec,
    defs: dg.Definitions,
    on: dg.DagsterInstance,
    request: Request,
    tell: Callable[[Request, str], None] | None = None,
    without: Collection[str] = (),
) -> list[MlpipeError]:
    """Run a request. When partitions fail on the way, the rest of it is run for the others.

    Parameters
    ----------
    tell
        Hears of each run before it starts, with an empty run id, and after it ended.
    without
        Partitions that failed before: nothing is asked of them.

    Returns
    -------
    list of MlpipeError
        One for each step in which partitions failed; they are named in its `partitions`.

    Raises
    ------
    MlpipeError
        All partitions failed, or something that is none of their own.
    """
    todo = list(request_without(spec, request, without))
    errors: list[MlpipeError] = []
    while todo:
        at = todo.pop(0)
        if tell:
            tell(at, "")
        try:
            done = run(spec, defs, on, at)
        except MlpipeError as error:
            if not error.partitions:
                raise
            errors.append(error)
            todo = [*_rest(spec, at, error), *todo]
        else:
            if tell:
                tell(at, done)
    return errors


def request_without(spec: PipelineSpec, request: Request, failed: Collection[str]) -> Iterator[Request]:
    """The request for all its partitions but those that failed, a range for each stretch between them."""
    if not failed or request.job in TRAINING or spec.partitions.every == "none":
        yield request
        return
    stretch: list[str] = []
    for key in [*spec.partitions.keys(request.first, request.last), None]:
        if key is not None and key not in failed:
            stretch.append(key)
        elif stretch:
            yield replace(request, first=stretch[0], last=stretch[-1])
            stretch = []


def _rest(spec: PipelineSpec, request: Request, error: MlpipeError) -> Iterator[Request]:
    """What comes after the step that failed, for the partitions that it did."""
    assets = request.assets or JOBS[request.job][0]
    after = assets[assets.index(error.step) + 1 :] if error.step in assets else ()
    if after:
        yield from request_without(spec, replace(request, assets=after), error.partitions)


def together(errors: list[MlpipeError]) -> MlpipeError:
    """One error for several steps in which partitions failed."""
    if len(errors) == 1:
        return errors[0]
    failed = tuple(dict.fromkeys(key for error in errors for key in error.partitions))
    found = [f for e in errors for f in (e.findings or (finding(e),))]
    one = type(errors[0])(f"{len(failed)} partitions failed", fix=MENDED, findings=found)
    one.partitions = failed
    return one
