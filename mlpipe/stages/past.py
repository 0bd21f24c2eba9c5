"""What was recorded of a pipeline, read once from the store alone: its records by stage, its models, and what stands at each partition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.fold import State
from mlpipe.records.codec import Head, from_bytes, head_of
from mlpipe.records.record import Record
from mlpipe.spec.calendar import DISTANT_PAST
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stores.store import Store


@dataclass(frozen=True)
class Kept:
    """One model that is kept.

    Attributes
    ----------
    bundle, record, partition
        The model, the record of its first training, and that record's partition.
    version
        The first version that it was registered as; None for a model that never was.
    data_end
        Everything that it was trained, chosen or judged on is earlier. Aware.
    """

    bundle: str
    record: str
    partition: str
    version: int | None
    data_end: datetime

    @property
    def name(self) -> str:
        """The version as people write it, else the partition that it was trained for."""
        return f"@{self.version}" if self.version is not None else self.partition


class Past:
    """The records of a pipeline that belong to a chain of decisions, experiments left out.

    A replay's own chain has few records of its own: where it has none of a partition, those of the deployment stand.

    Parameters
    ----------
    spec, store, ledger
        The pipeline, where its records lie, and the chain of decisions.
    """

    def __init__(self, spec: PipelineSpec, store: Store, ledger: Ledger) -> None:
        self.spec, self.store, self.ledger = spec, store, ledger
        self.records: dict[str, Record] = {}
        known = {spec.deployment, ledger.deployment}
        for name, data in store.records(spec.name):
            record = from_bytes(data, name)
            if record.deployment in known and not record.experiment and record.segment == ledger.segment:
                self.records[record.id] = record

    def of(self, stage: str) -> Iterator[Record]:
        """Records of a stage, the deployment's before the chain's own, each by clock."""
        mine = (r for r in self.records.values() if r.stage == stage)
        yield from sorted(
            mine, key=lambda r: (r.deployment == self.ledger.deployment, r.as_of, r.recorded_at)
        )

    def newest(self, stage: str) -> dict[str, Record]:
        """The record that stands at each partition of a stage: the chain's own, else the deployment's."""
        return {r.partition: r for r in self.of(stage)}

    def first(self, stage: str) -> dict[str, Record]:
        """The record that was made first at each partition of a stage, in the chain itself where it has one."""
        out: dict[str, Record] = {}
        for record in self.of(stage):
            before = out.get(record.partition)
            if before is None or before.deployment != record.deployment:
                out[record.partition] = record
        return out

    def heads(self, stage: str) -> Mapping[str, Head]:
        """What stands at each partition of a stage, as stages read it."""
        return {k: head_of(r) for k, r in self.newest(stage).items()}

    @cached_property
    def state(self) -> State:
        """What the chain of decisions says today."""
        return self.ledger.state()

    def keys(self, first: str | None = None, last: str | None = None) -> tuple[str, ...]:
        """Partitions from `first` to `last`, in order; None is the first, and the last, that has features.

        Raises
        ------
        DataError
            From the calendar: a key that is no partition.
        """
        with_features = sorted(self.newest("feature"), key=lambda k: self.spec.partitions.window(k).start)
        if not with_features:
            return ()
        return self.spec.partitions.keys(first or with_features[0], last or with_features[-1])

    def models(self) -> list[Kept]:
        """Every model that is kept, each once, by the end of its data and then by version."""
        versions: dict[str, int] = {}
        for version in self.state.versions.values():
            versions.setdefault(version.bundle, version.number)
        found: dict[str, Kept] = {}
        for record in self.of("train"):
            bundle = next((o.id for o in record.outputs if o.name == "bundle"), None)
            if bundle is None or (bundle in found and bundle in versions):
                continue
            end = (
                DISTANT_PAST
                if self.spec.partitions.every == "none"
                else self.spec.partitions.window(record.partition).start
            )
            found.setdefault(bundle, Kept(bundle, record.id, record.partition, versions.get(bundle), end))
        return sorted(found.values(), key=lambda m: (m.data_end, m.version or 0, m.record))
