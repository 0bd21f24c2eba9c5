"""What a night is: its hours, and the question that ends it. The same for a sensor, a replay and a policy that is tried on the past."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlpipe.core.policy import Decision, Policy, decide
from mlpipe.ledger.chain import Ledger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Heads
from mlpipe.stages.retraining import facts_of
from mlpipe.stores.store import Store


@dataclass(frozen=True)
class Night:
    """When the work of a partition is done: so long after its end the daily job, a fault put in on purpose, a training."""

    daily: timedelta
    inject: timedelta
    training: timedelta


def night_of(spec: PipelineSpec) -> Night:
    """The hours of a pipeline's nights: at two, half past two and three; of hours at ten, fifteen and twenty past."""
    hourly = spec.partitions.every == "hour"
    minutes = (10, 15, 20) if hourly else (120, 150, 180)
    return Night(*(timedelta(minutes=m) for m in minutes))


def ask(
    spec: PipelineSpec,
    policy: Policy,
    key: str,
    heads: Heads,
    ledger: Ledger,
    store: Store,
    *,
    as_of: datetime | None = None,
    failed: Collection[str] = (),
) -> Decision:
    """What the policy says after partition `key`, knowing what was decided until `as_of` (None: all)."""
    entries = [e for e in ledger.entries() if as_of is None or e.effective_at <= as_of]
    facts = facts_of(spec, policy, key, heads, ledger.state(as_of=as_of), entries, store, failed=failed)
    return decide(policy, facts)
