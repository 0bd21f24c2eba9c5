"""What a stage may see: the store, the ledger, the materializations to read, and the clock of its run. Nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from mlpipe.errors import NotFoundError
from mlpipe.ledger.chain import Ledger
from mlpipe.records.codec import Head, from_bytes, head_of
from mlpipe.records.record import Input, Record, Trigger
from mlpipe.records.secrets import scrubbed, scrubbed_text
from mlpipe.stores.store import Store


class Heads(Protocol):
    """Which materialization of each asset partition a run reads.

    A run reads what it made itself, else the newest that is no experiment and existed when the run started. One run asks from one
    thread; a second run's materializations do not show.
    """

    def find(self, asset: str, keys: Sequence[str]) -> Mapping[str, Head]:
        """Heads of the keys that have one."""

    def add(self, head: Head) -> None:
        """Take note of what this run has just made."""


class MemoryHeads:
    """Heads in a dictionary: for tests, loops without Dagster, and a store that was copied without its Dagster instance."""

    def __init__(self, heads: Sequence[Head] = ()) -> None:
        self._heads = {(h.asset, h.partition): h for h in heads}

    @classmethod
    def of_store(cls, store: Store, pipeline: str, deployment: str = "dev") -> "MemoryHeads":
        """What a deployment's records say with the latest clock, experiments left out."""
        records = [from_bytes(data) for _, data in store.records(pipeline)]
        mine = [r for r in records if r.deployment == deployment and not r.experiment]
        return cls([head_of(r) for r in sorted(mine, key=lambda r: (r.as_of, r.recorded_at))])

    def find(self, asset: str, keys: Sequence[str]) -> Mapping[str, Head]:
        """Heads of the keys that have one."""
        return {k: self._heads[asset, k] for k in keys if (asset, k) in self._heads}

    def add(self, head: Head) -> None:
        """Take note of what this run has just made."""
        self._heads[head.asset, head.partition] = head


@dataclass(frozen=True)
class Run:
    """What one run fixes for all its stages. `attempt`: the retraining that the policy asked for; `inject`: a fault put in on purpose.

    What people wrote goes into records and the ledger, where nothing is ever deleted: secrets in it are withheld from the beginning.
    """

    id: str
    as_of: datetime
    trigger: Trigger = Trigger()
    actor: str = ""
    experiment: str = ""
    hypothesis: str = ""
    note: str = ""
    backfill: bool = False
    attempt: str = ""
    inject: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        why = self.trigger
        clean: dict[str, Any] = {
            n: scrubbed_text(getattr(self, n)) for n in ("actor", "experiment", "hypothesis", "note")
        }
        details = scrubbed(dict(why.details))
        clean["trigger"] = why.model_copy(update={"reason": scrubbed_text(why.reason), "details": details})
        clean["tags"] = scrubbed(dict(self.tags))
        for name, value in clean.items():
            object.__setattr__(self, name, value)


def _silent(text: str) -> None:
    """Logging for callers that want none."""


@dataclass(frozen=True)
class Context:
    """Everything a stage may touch.

    `upstream` gives the frame of a Dagster asset for some partition keys, by source; `upstream_read` says which of its materializations
    that is, by source and key. `measured`: facts by probe that were found about the model before and stand, for to ask again would give
    others.
    """

    store: Store
    ledger: Ledger
    heads: Heads
    run: Run
    now: Callable[[], datetime]
    archive: str = ""
    base: str = ""
    withheld: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    installed: str = ""
    segment: str | None = None
    log: Callable[[str], None] = _silent
    upstream: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    upstream_read: Mapping[tuple[str, str], Input] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def need(self, asset: str, keys: Sequence[str], pipeline: str) -> dict[str, Head]:
        """Heads of all keys.

        Raises
        ------
        NotFoundError
            Naming the partitions that were never materialized.
        """
        heads = dict(self.heads.find(asset, keys))
        missing = [k for k in keys if k not in heads]
        if missing:
            shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise NotFoundError(
                f"{asset} has no partition {shown}",
                where=f"pipeline {pipeline}",
                fix=f"Materialize it first: mlpipe run {pipeline} --from {missing[0]} --to {missing[-1]}",
            )
        return heads


def record_of(ctx: Context, head: Head, pipeline: str) -> Record:
    """The full record behind a head."""
    return from_bytes(ctx.store.get_record(pipeline, head.record), head.record)
