"""The alias is an asset: each move of production is reported as a materialization of `<p>/production`."""

from collections.abc import Callable
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from mlpipe.errors import MlpipeError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Entry
from mlpipe.orchestration.causes import first_line
from mlpipe.orchestration.events import plain
from mlpipe.orchestration.runtime import ledger_of, open_store, store_url
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec

MOVES = ("promote", "override", "rollback")
VERBS = {"promote": "promoted", "override": "promoted by override", "rollback": "rolled back to"}


def production_spec(spec: PipelineSpec) -> dg.AssetSpec:
    """The external asset whose timeline is the release history."""
    return dg.AssetSpec(
        key=[spec.name, "production"],
        deps=[dg.AssetDep([spec.name, "release"])],
        description="Which version is champion. Each promotion, override and rollback is one event; the ledger is the truth.",
        group_name=spec.name,
        kinds={"python"},
        owners=list(spec.owners),
        tags={"mlpipe/stage": "register"},
    )


def event_of(spec: PipelineSpec, entry: Entry) -> dg.AssetMaterialization:
    """A move of production as an event: who, what, which version; the version plots as a step chart."""
    text = f"{entry.actor} {VERBS[entry.kind]} {spec.name}@{entry.to_version}: {entry.reason}"
    who, why = plain(entry.actor), plain(entry.reason[:700])
    verb = VERBS[entry.kind].removesuffix(" to")
    metadata: dict[str, Any] = {
        "summary": dg.MetadataValue.md(f"**{spec.name}@{entry.to_version}** {verb} by {who}: {why}"),
        "model/version": dg.MetadataValue.int(entry.to_version or 0),
        "ledger/number": dg.MetadataValue.text(str(entry.number)),
        "ledger/hash": dg.MetadataValue.text(entry.hash),
        "effective_at": dg.MetadataValue.text(entry.effective_at.isoformat()),
        "bundle": dg.MetadataValue.text(entry.bundle or ""),
    }
    return dg.AssetMaterialization(
        asset_key=[spec.name, "production"],
        description=plain(text[:500]),
        metadata=metadata,
        tags={"dagster/data_version": f"{entry.to_version}-{entry.hash[:16]}"},
    )


def report_production(context: dg.AssetExecutionContext, spec: PipelineSpec, record: Record) -> None:
    """Mirror the moves that a release made."""
    moved = set((record.data.get("head") or {}).get("moved", []))
    if moved:
        ledger = ledger_of(spec, open_store(store_url(spec)))
        mirror_or_tell(context.instance, spec, ledger, context.log.warning)


def mirror_or_tell(
    on: dg.DagsterInstance, spec: PipelineSpec, ledger: Ledger, tell: Callable[[str], None]
) -> None:
    """Mirror; a mirror that fails is told, never raised: the decision stands, and the next mirror repairs it."""
    try:
        mirror(on, spec, ledger)
    except (MlpipeError, dg.DagsterError, SQLAlchemyError, OSError) as error:
        tell(
            f"the decision is recorded, but Dagster does not show it yet: {first_line(error)}. "
            f"The next 'mlpipe run', 'promote' or 'rollback' of {spec.name} shows it."
        )


def mirror(instance: dg.DagsterInstance, spec: PipelineSpec, ledger: Ledger) -> int:
    """Report every move of the ledger that the instance does not show yet; returns how many were missing."""
    key = dg.AssetKey([spec.name, "production"])
    shown: set[str] = set()
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(key, limit=1000, cursor=cursor)
        shown |= {
            str(e.asset_materialization.metadata["ledger/hash"].value)
            for e in page.records
            if e.asset_materialization and "ledger/hash" in e.asset_materialization.metadata
        }
        cursor = page.cursor
        if not page.has_more:
            break
    missing = [e for e in ledger.entries() if e.kind in MOVES and e.hash not in shown]
    for entry in missing:
        instance.report_runless_asset_event(event_of(spec, entry))
    return len(missing)
