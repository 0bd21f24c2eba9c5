"""The alias is an asset: each move of production is reported as a materialization of `<p>/production`."""

from typing import Any

import dagster as dg

from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Entry
from mlpipe.orchestration.runtime import ledger_of, open_store, store_url
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec

MOVES = ("promote", "override", "rollback")
VERBS = {"promote": "promoted", "override": "promoted by override", "rollback": "rolled back to"}


def production_spec(spec: PipelineSpec) -> dg.AssetSpec:
    """The external asset whose timeline is the release history."""
    return dg.AssetSpec(
        key=[spec.name, "production"],
        description="Which version is champion. Each promotion, override and rollback is one event; the ledger is the truth.",
        group_name=spec.name,
        kinds={"python"},
        owners=list(spec.owners),
        tags={"mlpipe/stage": "register"},
    )


def event_of(spec: PipelineSpec, entry: Entry) -> dg.AssetMaterialization:
    """A move of production as an event: who, what, which version; the version plots as a step chart."""
    text = f"{entry.actor} {VERBS[entry.kind]} {spec.name}@{entry.to_version}: {entry.reason}"
    metadata: dict[str, Any] = {
        "summary": dg.MetadataValue.md(
            f"**{spec.name}@{entry.to_version}** {VERBS[entry.kind].removesuffix(' to')} by {entry.actor}: {entry.reason}"[
                :900
            ]
        ),
        "model/version": dg.MetadataValue.int(entry.to_version or 0),
        "ledger/number": dg.MetadataValue.int(entry.number),
        "ledger/hash": dg.MetadataValue.text(entry.hash),
        "effective_at": dg.MetadataValue.text(entry.effective_at.isoformat()),
        "bundle": dg.MetadataValue.text(entry.bundle or ""),
    }
    return dg.AssetMaterialization(
        asset_key=[spec.name, "production"],
        description=text[:500],
        metadata=metadata,
        tags={"dagster/data_version": f"{entry.to_version}-{entry.hash[:16]}"},
    )


def report_production(context: dg.AssetExecutionContext, spec: PipelineSpec, record: Record) -> None:
    """Mirror the moves that a release made. A failed mirror is repaired by the next `mirror`; the decision stands."""
    moved = set((record.data.get("head") or {}).get("moved", []))
    if moved:
        mirror(context.instance, spec, ledger_of(spec, open_store(store_url(spec))))


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
