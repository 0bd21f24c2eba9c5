"""What a night is: its hours, and the question that ends it. The same for a sensor, a replay and a policy that is tried on the past."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlpipe.core.policy import Decision, Policy, decide
from mlpipe.ledger.chain import Ledger
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context, Heads
from mlpipe.stages.retraining import facts_of, taken
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
    seconds: Callable[[Record], float] = taken,
) -> Decision:
    """What the policy says after partition `key`, knowing what was decided until `as_of` (None: all)."""
    entries = [e for e in ledger.entries() if as_of is None or e.effective_at <= as_of]
    state = ledger.state(as_of=as_of)
    facts = facts_of(spec, policy, key, heads, state, entries, store, failed=failed, seconds=seconds)
    return decide(policy, facts)


def claim(ctx: Context, key: str, holder: str) -> bool:
    """Claim the attempt that a run is made for, before it trains; False when it belongs to another holder."""
    run = ctx.run
    return ctx.ledger.claim(
        run.attempt,
        holder,
        actor=run.actor or "unknown",
        role="sensor",
        reason=run.trigger.reason or run.attempt,
        effective_at=run.as_of,
        logical_date=key,
        trigger=run.trigger.kind,
        details={"cause": dict(run.trigger.details)},
    )
