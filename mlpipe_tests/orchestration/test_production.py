"""The ledger's moves as events of the asset `production`: each once, whatever fails."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from mlpipe.ledger import promotion
from mlpipe.ledger.entry import Entry
from mlpipe.orchestration.production import event_of, mirror, mirror_or_tell
from mlpipe.orchestration.runtime import BACKFILL_TAG
from mlpipe_tests.orchestration.conftest import LAST, World
from mlpipe_tests.orchestration.shop import shop


def shown(world: World) -> list[tuple[int, int]]:
    """Version and ledger number of each event of production, oldest first."""
    events = [e.asset_materialization for e in reversed(world.events("production"))]
    return [(e.metadata["model/version"].value, int(str(e.metadata["ledger/number"].value))) for e in events]


def test_a_promotion_shows_once_with_who_what_and_why(world: World) -> None:
    assert shown(world) == [(1, 2)]
    event = world.events("production")[0].asset_materialization
    assert event is not None and event.description is not None
    entry = world.ledger.entries()[1]
    assert "shop@1" in event.description and "mlpipe run shop" in event.description
    assert event.metadata["ledger/hash"].value == entry.hash
    assert isinstance(event.metadata["model/version"], dg.IntMetadataValue)
    assert mirror(world.on, world.spec, world.ledger) == 0 and shown(world) == [(1, 2)]


def test_what_a_failed_mirror_left_out_is_shown_by_the_next_and_the_release_stands(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(event: object) -> None:
        raise OperationalError("insert", {}, Exception("database is locked"))

    with monkeypatch.context() as broken:
        broken.setattr(small.on, "report_runless_asset_event", locked)
        run_id = small.run("training", LAST)
    run = small.on.get_run_by_id(run_id)
    assert run is not None and run.status == dg.DagsterRunStatus.SUCCESS
    assert small.ledger.state().champion is not None and not shown(small)
    small.run("training", "2024-01-11")
    told: list[str] = []
    mirror_or_tell(small.on, small.spec, small.ledger, told.append)
    mirror_or_tell(small.on, small.spec, small.ledger, told.append)
    assert shown(small) == [(1, 2)] and not told


def test_a_mirror_that_fails_is_told_and_not_raised(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **more: object) -> None:
        raise ConnectionRefusedError("no database")

    monkeypatch.setattr(world.on, "fetch_materializations", unreachable)
    told: list[str] = []
    mirror_or_tell(world.on, world.spec, world.ledger, told.append)
    assert len(told) == 1 and "the decision is recorded" in told[0] and "no database" in told[0]


def test_a_backfill_of_trainings_leaves_production_as_it_was(small: World) -> None:
    small.run("training", "2024-01-09")
    champion = small.ledger.state().champion
    assert champion is not None
    job = small.defs.resolve_job_def("shop_training")
    for key in ("2024-01-10", "2024-01-11", LAST):
        # As Dagster's backfill starts them; a tag that claims otherwise does not help.
        tags = {BACKFILL_TAG: "backfill-1", "mlpipe/trigger": "schedule"}
        assert job.execute_in_process(instance=small.on, partition_key=key, tags=tags).success
    assert small.ledger.state().champion == champion and shown(small) == [(champion.number, 2)]
    versions = small.ledger.state().versions.values()
    assert [v.stage for v in versions] == ["production", "candidate", "candidate", "candidate"]
    assert all(
        "backfill" in " ".join(e.details["reasons"]) for e in small.ledger.entries() if e.kind == "refuse"
    )


def test_rollbacks_and_overrides_are_moves_too(small: World) -> None:
    small.run("training", "2024-01-10")
    small.run("training", LAST)
    state = small.ledger.state()
    assert state.champion is not None and state.champion.number == 2
    when = datetime.now(UTC) + timedelta(seconds=1)
    promotion.rollback(small.ledger, None, "ann", "complaints", now=when, prove=lambda version: None)
    promotion.promote(small.ledger, 2, "bob", "was right", now=when, override=True)
    assert mirror(small.on, small.spec, small.ledger) == 2
    assert [v for v, _ in shown(small)] == [1, 2, 1, 2]
    texts = [e.asset_materialization.description for e in small.events("production")]
    assert "promoted by override shop@2" in texts[0] and "rolled back to shop@1: complaints" in texts[1]


def test_a_reason_cannot_put_html_links_or_images_into_the_page(world: World) -> None:
    entry = world.ledger.entries()[1]
    bad = "<img src=x> ![p](https://elsewhere.example/p.png) [click](javascript:alert(1))"
    made: Entry = entry.__class__.from_bytes(entry.to_bytes())
    object.__setattr__(made, "reason", bad)
    event = event_of(shop().spec, made)
    for text in (str(event.metadata["summary"].value), str(event.description)):
        assert "<img" not in text and "![p]" not in text and "[click](" not in text
