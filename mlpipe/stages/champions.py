"""Who is champion at a run's clock, and what its model was made from."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from mlpipe.ledger.fold import State, Version
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
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
    name = str(version.details["model_record"])
    record = from_bytes(ctx.store.get_record(spec.name, name), name)
    return Champion(version, bundle, record)


@lru_cache(maxsize=4)
def _bundle(store: Store, bundle: str, trusted: tuple[str, ...]) -> Bundle:
    """A champion's bundle, loaded and proven once a process: each step of a night asks for the same."""
    return store.get_bundle(bundle, trusted=trusted)


def training_keys(champion: Champion) -> tuple[str, ...]:
    """Partitions that a champion's model learned from, by provenance."""
    return tuple(dict.fromkeys(i.partition for i in champion.model.inputs if i.name == "features"))
