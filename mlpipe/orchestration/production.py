"""The alias is an asset: each move of production is reported as a materialization of `<p>/production`."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from mlpipe.errors import MlpipeError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Entry
from mlpipe.orchestration.causes import first_line
from mlpipe.orchestration.events import PAGE, plain
from mlpipe.orchestration.runtime import LEDGER_TAG, ledger_of, open_store, store_url
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


def event_of(spec: PipelineSpec, entry: Entry, head: Entry) -> dg.AssetMaterialization:
    """A move of production as an event: who, what, which version; the version plots as a step chart. `head` ends the ledger."""
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
        metadata=metadata | _witness(head),
        tags={"dagster/data_version": f"{entry.to_version}-{entry.hash[:16]}"},
    )


def _witness(head: Entry) -> dict[str, dg.MetadataValue]:
    """Where the ledger ended. Whoever cuts its tail off later cannot take that back."""
    return {
        "ledger/chain": dg.MetadataValue.text(_chain(head.pipeline, head.segment, head.deployment)),
        "ledger/head_number": dg.MetadataValue.text(str(head.number)),
        "ledger/head_hash": dg.MetadataValue.text(head.hash),
    }


def _chain(pipeline: str, segment: str | None, deployment: str) -> str:
    return f"{pipeline}/{segment or '_'}/{deployment}"


def report_production(context: dg.AssetExecutionContext, spec: PipelineSpec, record: Record) -> None:
    """Mirror what a release decided; a decision in another chain (a replay's) is none of the deployment's."""
    made = (record.data.get("head") or {}).get("entries", [])
    if made and context.run.tags.get(LEDGER_TAG, spec.deployment) == spec.deployment:
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
    """Report every move of the ledger that the instance does not show yet; returns how many were missing.

    Where the ledger ended in something else than a move (a refusal, a claim), an observation says how far it has come. Of two processes
    that mirror at once both may report a move: whoever reads tells moves apart by their hash.
    """
    entries = ledger.entries()
    known = set(mirrored_entries(instance, spec))
    missing = [e for e in entries if e.kind in MOVES and (e.number, e.hash) not in known]
    for entry in missing:
        instance.report_runless_asset_event(event_of(spec, entry, entries[-1]))
    if entries and not missing and (entries[-1].number, entries[-1].hash) not in known:
        head = entries[-1]
        seen = dg.AssetObservation(
            asset_key=[spec.name, "production"],
            description=plain(f"The ledger has come to entry {head.number}: {head.describe()}."),
            metadata=_witness(head),
        )
        instance.report_runless_asset_event(seen)
    return len(missing)


def mirror_head(instance: dg.DagsterInstance, spec: PipelineSpec) -> tuple[int, str] | None:
    """Number and hash of the last entry of the deployment's ledger that the instance knows; None when it knows none.

    Of two entries that were reported under one number, the one that was reported first: a ledger that was cut off and written anew is
    not the one that was known.
    """
    known = mirrored_entries(instance, spec)
    return max(known, key=lambda pair: pair[0], default=None)


def mirrored_entries(instance: dg.DagsterInstance, spec: PipelineSpec) -> list[tuple[int, str]]:
    """Number and hash of all entries of the deployment's ledger that the instance knows: its moves, and its heads at the time."""
    key, chain = dg.AssetKey([spec.name, "production"]), _chain(spec.name, None, spec.deployment)
    known: list[tuple[int, str]] = []
    for fetch in (instance.fetch_materializations, instance.fetch_observations):
        for metadata in _metadata(fetch, key):
            # Events of before the chain was named in them are of the only chain that there was.
            if metadata.get("ledger/chain", chain) != chain:
                continue
            for number, digest in (("number", "hash"), ("head_number", "head_hash")):
                if f"ledger/{number}" in metadata and f"ledger/{digest}" in metadata:
                    known.append((int(metadata[f"ledger/{number}"]), metadata[f"ledger/{digest}"]))
    return known


def known_or_told(
    on: dg.DagsterInstance, spec: PipelineSpec, tell: Callable[[str], None]
) -> list[tuple[int, str]] | None:
    """`mirrored_entries`; None, and the reason told, when the instance cannot be read."""
    try:
        return mirrored_entries(on, spec)
    except (dg.DagsterError, SQLAlchemyError, OSError) as error:
        tell(f"Dagster's mirror is not compared: {first_line(error)}")
        return None


def _metadata(fetch: Callable[..., Any], key: dg.AssetKey) -> Iterator[dict[str, str]]:
    """Texts about the ledger in each event, the oldest event first."""
    cursor: str | None = None
    while True:
        page = fetch(key, limit=PAGE, cursor=cursor, ascending=True)
        for record in page.records:
            event = record.asset_materialization or record.asset_observation
            if event is not None:
                yield {n: str(v.value) for n, v in event.metadata.items() if n.startswith("ledger/")}
        cursor = page.cursor
        if not page.has_more:
            return
