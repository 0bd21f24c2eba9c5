"""Who is champion at a run's clock, and what its model was made from."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from mlpipe.ledger.fold import State, Version
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import MetricValue, Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stores.bundles import Bundle
from mlpipe.stores.store import Store


@dataclass(frozen=True)
class Champion:
    """A version, its bundle, and the record of the training that made it."""

    version: Version
    bundle: Bundle
    model: Record

    @property
    def number(self) -> int:
        return self.version.number

    @property
    def data_end(self) -> datetime:
        """Everything that the model was trained, chosen or judged on is earlier than this."""
        return self.version.data_end


def state_of(ctx: Context) -> State:
    """What the ledger says as of the run's clock."""
    return ctx.ledger.state(as_of=ctx.run.as_of)


def opened(spec: PipelineSpec, version: Version | None, ctx: Context) -> Champion | None:
    """A version with its bundle and the record of its training; None for no version."""
    if version is None:
        return None
    bundle = _bundle(ctx.store, version.bundle, tuple(spec.model.trusted))
    return Champion(version, bundle, _record(ctx.store, spec.name, str(version.details["model_record"])))


@lru_cache(maxsize=4)
def _bundle(store: Store, bundle: str, trusted: tuple[str, ...]) -> Bundle:
    """A champion's bundle, loaded and proven once a process: each step of a night asks for the same."""
    return store.get_bundle(bundle, trusted=trusted)


def evaluation_of(spec: PipelineSpec, champion: Champion, ctx: Context) -> Record | None:
    """The record on which a version was let into the ledger; None where the ledger names none."""
    name = champion.version.details.get("evaluation_record")
    return _record(ctx.store, spec.name, str(name)) if name else None


@lru_cache(maxsize=8)
def _record(store: Store, pipeline: str, name: str) -> Record:
    """Once a process: every day that a version is watched asks for the same, of its training and of its evaluation."""
    return from_bytes(store.get_record(pipeline, name), name)


def promise(evaluation: Record | None, metric: str) -> MetricValue | None:
    """A metric with its interval, as an evaluation found it; None where it did not."""
    found = evaluation.metrics if evaluation is not None else ()
    return next((m for m in found if m.name == metric and m.low is not None), None)


def training_keys(champion: Champion) -> tuple[str, ...]:
    """Partitions that a champion's model learned from, by provenance."""
    return tuple(dict.fromkeys(i.partition for i in champion.model.inputs if i.name == "features"))
