"""A materialization made again from its record alone: the inputs that it names, its clock, its parameters; nothing is found again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlpipe.errors import DataError, MlpipeError, NotFoundError, StoreError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.fold import State, fold
from mlpipe.records import differences
from mlpipe.records.codec import from_bytes, head_of
from mlpipe.records.differences import Difference
from mlpipe.records.record import Input, Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, experiment, feature, label, monitor, predict, train, validate
from mlpipe.stages.context import Context, MemoryHeads, Run
from mlpipe.stages.experiment import CHANGES, trial_stage
from mlpipe.stages.runner import Stage, run_stage
from mlpipe.stages.variants import variants
from mlpipe.stores import agreement
from mlpipe.stores.agreement import TOLERANCE, Agreement
from mlpipe.stores.content import content_id, parse_id
from mlpipe.stores.local import LocalBackend
from mlpipe.stores.overlay import Overlay
from mlpipe.stores.store import Store

STAGES: dict[str, Stage] = {
    s.name: s
    for s in (
        validate.STAGE,
        feature.STAGE,
        label.STAGE,
        train.STAGE,
        evaluate.STAGE,
        predict.STAGE,
        monitor.STAGE,
    )
}
"""Stages whose results follow from what their records name; so do trials, each of which has a stage of its own."""
WHY_NOT = {
    "ingest": "its rows came from a source outside, which may give others today; what it gave then is in the store",
    "register": "it is a decision, and not a computation; 'mlpipe history' says who took it, when and why",
}
CHAMPIONS = ("evaluate", "predict", "monitor")
"""Stages that ask the ledger who is champion."""
OUTSIDE = ("production",)
"""Assets among a record's inputs that are read through the ledger, and not by partition."""
WORDED = ("left_out", "causes.read")
"""Parameters that say in words why something was not read, or name at once all days among which a cause was looked for; what a result was
made from is pinned."""


@dataclass(frozen=True)
class Remade:
    """What came of making a record again: how each thing agrees, and what was otherwise than then."""

    record: Record
    again: Record
    read: int
    outputs: tuple[Agreement, ...]
    metrics: tuple[Agreement, ...]
    differences: tuple[Difference, ...]

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """Of outputs and metrics, and of the verdict where that is another."""
        then, now = self.record.verdict, self.again.verdict
        own = () if then == now else (Agreement("verdict", then, now, "different", self.again.headline),)
        return (*own, *self.outputs, *self.metrics)


class _Then(Ledger):
    """A chain of decisions as it was when a record was written down: by the clock, and by the champion that the record names.

    The clock alone would do, were those of all machines right.
    """

    def __init__(self, ledger: Ledger, record: Record) -> None:
        super().__init__(
            ledger.backend, ledger.pipeline, segment=ledger.segment, deployment=ledger.deployment
        )
        self._known_at = record.recorded_at
        self._champion = next((i.id for i in record.inputs if i.name == "champion"), None)
        self._asked = record.stage in CHAMPIONS

    def state(self, *, as_of: datetime | None = None, known_at: datetime | None = None) -> State:
        known = super().state(as_of=as_of, known_at=known_at or self._known_at)
        if not self._asked or self._named(known):
            return known
        entries = self.entries()
        before = (fold(entries[:count], as_of=as_of) for count in range(len(entries) - 1, -1, -1))
        return next((s for s in before if self._named(s)), known)

    def _named(self, state: State) -> bool:
        return (state.champion.bundle if state.champion is not None else None) == self._champion


def remake(
    spec: PipelineSpec,
    record: Record,
    store: Store,
    scratch: Path,
    *,
    evaluation: Record | None = None,
    tolerance: float = TOLERANCE,
    log: Callable[[str], None] = lambda text: None,
) -> Remade:
    """Make a record again, in a folder apart; the store is only read, and what was done before is not found again.

    Parameters
    ----------
    spec
        The pipeline as it was: from the archive of its code.
    record
        What is made again.
    scratch
        An empty folder for what is made.
    evaluation
        Of a training: the record of the evaluation that judged it. It is made again too, with the new model.
    tolerance
        See `mlpipe.stores.agreement.TOLERANCE`.

    Raises
    ------
    NotFoundError
        When a record or an object that it was made from is no longer in the store; each is named.
    StoreError
        When an input's content is no longer what its id says.
    DataError
        When it cannot be made again at all: it came from outside, or is a decision.
    MlpipeError
        What the stage raises.
    """
    impossible(record)
    over = Store(Overlay(store.backend, LocalBackend(scratch), hidden=("recipes",)))
    read = _whole(record, store)
    ctx = _context(record, store, over)
    stage, tried = _stage(spec, record)
    again = _ran(stage, tried, record, replace(ctx, log=log))
    trusted = spec.model.trusted
    outputs = agreement.outputs(record, again, over, tolerance, trusted)
    numbers = agreement.metrics(record, again, tolerance)
    if evaluation is not None and again.outputs:
        judged = _judged(spec, evaluation, again, store, over, log)
        outputs += agreement.outputs(evaluation, judged, over, tolerance, trusted)
        numbers += agreement.metrics(evaluation, judged, tolerance)
    otherwise = [
        *differences.of_environment(record.environment, again.environment),
        *differences.of_code(record.code, again.code),
        *differences.of_params(record.params, again.params, WORDED),
    ]
    return Remade(record, again, read, tuple(outputs), tuple(numbers), tuple(otherwise))


def impossible(record: Record) -> None:
    """Raises a `DataError` for a record that cannot be made again, whatever lies in the store; it says why."""
    if record.stage not in (*STAGES, experiment.NAME):
        why = WHY_NOT.get(record.stage, f"the stage {record.stage!r} is not known to this mlpipe")
        raise DataError(
            f"{record.asset} {record.partition} cannot be made again: {why}", where=f"record {record.id}"
        )


def _stage(spec: PipelineSpec, record: Record) -> tuple[Stage, PipelineSpec]:
    """The stage that made a record, and the specification that it was run with: that of a trial has its changes."""
    if record.stage != experiment.NAME:
        return STAGES[record.stage], spec
    (variant,) = variants(spec, {name: [value] for name, value in record.data[CHANGES].items()})
    return trial_stage(variant), variant.spec


def _ran(stage: Stage, spec: PipelineSpec, record: Record, ctx: Context) -> Record:
    made = list(run_stage(stage, spec, [record.partition], ctx))
    if len(made) != 1:
        raise MlpipeError(f"{stage.asset} gave {len(made)} records for one partition", where=record.asset)
    return made[0]


def _judged(
    spec: PipelineSpec,
    evaluation: Record,
    model: Record,
    store: Store,
    over: Store,
    log: Callable[[str], None],
) -> Record:
    """The evaluation made again, with the model that was made again in the place of the one that it judged."""
    _whole(evaluation, store, without=("bundle", "champion"))
    ctx = _context(evaluation, store, over)
    ctx.heads.add(head_of(model))
    return _ran(evaluate.STAGE, spec, evaluation, replace(ctx, log=log))


def _context(record: Record, store: Store, over: Store) -> Context:
    """The surroundings of a record: the materializations that it names, the decisions known then, its clock."""
    run = Run(
        id=f"again-{record.id}",
        as_of=record.as_of,
        trigger=record.trigger,
        actor=record.actor,
        experiment=record.experiment,
        hypothesis=record.hypothesis,
        note=record.notes,
        inject=str(record.params.get("inject", "")),
        tags=record.tags,
    )
    ledger = Ledger(store.backend, record.pipeline, segment=record.segment, deployment=record.deployment)
    return Context(
        store=over,
        ledger=_Then(ledger, record),
        heads=MemoryHeads([head_of(r) for r in pinned(record, store)]),
        run=run,
        now=lambda: datetime.now(UTC),
        archive=record.code.archive,
        commit=record.code.commit,
        segment=record.segment,
    )


def pinned(record: Record, store: Store) -> Iterator[Record]:
    """The records of everything that was read; first of what those were made from, for some are read through others."""
    own = {i.record for i in _inputs(record)}
    found = [_opened(record, name, store) for name in sorted(own)]
    behind = {i.record for r in found for i in _inputs(r)} - own
    for name in sorted(behind):
        yield _opened(record, name, store)
    yield from found


def _inputs(record: Record) -> list[Input]:
    return [i for i in record.inputs if i.asset.rpartition("/")[2] not in OUTSIDE and i.record]


def _opened(record: Record, name: str, store: Store) -> Record:
    try:
        return from_bytes(store.get_record(record.pipeline, name), name)
    except NotFoundError:
        raise NotFoundError(
            f"{record.asset} {record.partition} was made from the record {name}, which is not in the store",
            where=f"{store.url}, record {record.id}",
            fix="Copy records/ whole, or restore it from a backup.",
        ) from None


def _whole(record: Record, store: Store, without: Sequence[str] = ()) -> int:
    """How many objects were read, once each of them is found to be what its id says.

    Raises
    ------
    NotFoundError, StoreError
        Naming asset and partition of the first that is not there, or not what it was.
    """
    inputs: dict[str, Input] = {i.id: i for i in record.inputs if i.id and i.name not in without}
    for name, read in inputs.items():
        where = f"{record.asset} {record.partition}, input {read.name} of {read.asset} {read.partition}"
        try:
            data: Any = store.backend.read(store.path_of(name))
            good = content_id(data, parse_id(name)[0]) == name
        except NotFoundError:
            raise NotFoundError(
                f"the object {name} is not in the store",
                where=where,
                fix="Copy objects/ whole, or restore it from a backup.",
            ) from None
        except (StoreError, DataError):
            good = False
        if not good:
            raise StoreError(
                f"the input {name} is not what it was: its content is not what its id says",
                where=where,
                fix="Restore it from a backup; 'mlpipe store verify' lists everything that is damaged.",
            )
    return len(inputs)
