"""What Dagster knows of an attempt at a retraining, and of what stands there now."""

from datetime import datetime

import dagster as dg

from mlpipe.core.policy import Decision
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.runtime import ATTEMPT_TAG, REASON_TAG, TRIGGER_TAG
from mlpipe.stages.retraining import trigger_of

TAG_LENGTH = 500
"""Reasons are cut to this in tags; the claim in the ledger has them whole."""


def tags_of(decision: Decision) -> dict[str, str]:
    """Tags of the run that an attempt starts: which trigger, which column, which value, which partition."""
    tags = {f"{TRIGGER_TAG}.{name}": value for name, value in decision.details.items()}
    return {
        TRIGGER_TAG: trigger_of(decision.cause),
        REASON_TAG: decision.reason[:TAG_LENGTH],
        ATTEMPT_TAG: decision.name,
        **tags,
    }


def live_heads(instance: dg.DagsterInstance, moment: datetime) -> DagsterHeads:
    """What is there now, for a process that is no run itself."""
    return DagsterHeads(instance, "", moment.timestamp())
