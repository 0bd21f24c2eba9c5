"""Who decided what, when and why: the ledger as a table or as JSON lines."""

import json
from collections.abc import Sequence

from mlpipe.ledger.entry import Entry
from mlpipe.ledger.fold import State
from mlpipe.views.table import table


def as_table(name: str, entries: Sequence[Entry], state: State) -> str:
    """The chain as a table, oldest first, and what is in production now."""
    if not entries:
        return f"{name}: nothing was decided yet. A training run registers the first version: mlpipe run {name} --from … --train-at …"
    rows = [
        [
            str(e.number),
            f"{e.effective_at:%Y-%m-%d %H:%M}",
            e.kind,
            "" if e.version is None else f"{name}@{e.version}",
            e.actor,
            e.trigger or "",
            e.reason,
        ]
        for e in entries
    ]
    champion = (
        f"{name}@{state.champion.number} is in production since {state.champion_since:%Y-%m-%d %H:%M} UTC."
        if state.champion and state.champion_since
        else "Nothing is in production."
    )
    paused = " Automatic promotion is paused since the rollback." if state.paused else ""
    return (
        table(["#", "effective (UTC)", "decision", "version", "by", "trigger", "reason"], rows)
        + f"\n{champion}{paused}"
    )


def as_json(entries: Sequence[Entry]) -> str:
    """One JSON object an entry, as it is stored."""
    return "\n".join(json.dumps(json.loads(e.to_bytes()), ensure_ascii=False) for e in entries)
