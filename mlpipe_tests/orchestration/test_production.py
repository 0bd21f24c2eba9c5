"""The ledger's moves as events of the asset `production`: each once, whatever fails."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from mlpipe.ledger import promotion
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Entry
from mlpipe.orchestration.production import event_of, mirror, mirror_head, mirror_or_tell, mirrored_entries
from mlpipe.orchestration.runtime import BACKFILL_TAG, LEDGER_TAG
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
    # The move is shown late, with the head of that time: a refusal came after it.
    assert mirror_head(small.on, small.spec) == head(small) and head(small)[0] == 4
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
    event = event_of(shop().spec, made, made)
    for text in (str(event.metadata["summary"].value), str(event.description)):
        assert "<img" not in text and "![p]" not in text and "[click](" not in text


def head(world: World) -> tuple[int, str]:
    last = world.ledger.head()
    assert last is not None
    return last.number, last.hash


def test_the_mirror_knows_how_far_the_ledger_has_come_also_where_it_ends_in_no_move(small: World) -> None:
    assert mirror_head(small.on, small.spec) is None
    small.run("training", "2024-01-10")
    assert mirror_head(small.on, small.spec) == head(small) == (2, small.ledger.entries()[1].hash)
    # A refusal is no move. The release that wrote it says how far the ledger has come all the same, and once.
    small.run("training", "2024-01-09")
    assert [e.kind for e in small.ledger.entries()] == ["register", "promote", "register", "refuse"]
    assert shown(small) == [(1, 2)] and mirror_head(small.on, small.spec) == head(small)
    key = dg.AssetKey(["shop", "production"])
    assert mirror(small.on, small.spec, small.ledger) == 0
    assert len(small.on.fetch_observations(key, limit=10).records) == 1
    assert small.ledger.verify(*mirrored_entries(small.on, small.spec)) == []


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_a_tail_that_was_cut_off_is_betrayed_by_the_mirror(small: World, left: int) -> None:
    for key in ("2024-01-10", "2024-01-09"):
        small.run("training", key)
    for number in range(left + 1, 5):
        (
            Path(small.store.backend.url.removeprefix("file://")) / f"{small.ledger.folder}/{number:08d}.json"
        ).unlink()
    assert small.ledger.verify() == []
    [finding] = small.ledger.verify(mirror_head(small.on, small.spec))
    assert finding.what == f"The tail was removed: entry {left} is the last, but the mirror knows entry 4."


def test_two_who_mirror_at_once_tell_a_move_twice_and_no_reader_minds(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run("training", "2024-01-10")
    when = datetime.now(UTC) + timedelta(seconds=1)
    promotion.decide(small.ledger, second(when), actor="bob", reason="later", now=when)
    report = small.on.report_runless_asset_event

    def meeting(event: dg.AssetMaterialization) -> None:
        """Right before the first of them reports, the other has done it."""
        monkeypatch.undo()
        assert mirror(small.on, small.spec, small.ledger) == 1
        report(event)

    monkeypatch.setattr(small.on, "report_runless_asset_event", meeting)
    assert mirror(small.on, small.spec, small.ledger) == 1
    assert shown(small) == [(1, 2), (2, 4), (2, 4)]
    assert mirror_head(small.on, small.spec) == head(small)
    assert small.ledger.verify(*mirrored_entries(small.on, small.spec)) == []
    assert mirror(small.on, small.spec, small.ledger) == 0 and len(shown(small)) == 3


def second(when: datetime) -> promotion.Candidate:
    return promotion.Candidate("b", "e", when, "manual", "human", gates_passed=True, champion=1)


def test_of_two_entries_under_one_number_the_mirror_holds_to_the_one_it_knew_first(small: World) -> None:
    small.run("training", "2024-01-10")
    known = mirror_head(small.on, small.spec)
    entry = small.ledger.entries()[1]
    forged = replace(entry, actor="eve", hash="0" * 40)
    small.on.report_runless_asset_event(event_of(small.spec, forged, forged))
    assert mirror_head(small.on, small.spec) == known == head(small)
    assert any("rewritten" in f.what for f in small.ledger.verify(*mirrored_entries(small.on, small.spec)))


def test_another_chain_is_not_mirrored_and_its_events_are_not_the_deployments(small: World) -> None:
    when = datetime(2024, 1, 9, tzinfo=UTC)
    promotion.decide(small.ledger, replace(second(when), champion=None), actor="bob", reason="r", now=when)
    small.run("training", "2024-01-10", tags=((LEDGER_TAG, "weekly"),))
    assert [len(shown(small)), len(small.ledger.entries())] == [0, 2]
    weekly = Ledger(small.store.backend, "shop", deployment="weekly")
    [_, moved] = weekly.entries()
    small.on.report_runless_asset_event(event_of(small.spec, moved, moved))
    assert mirror_head(small.on, small.spec) is None
    assert mirror(small.on, small.spec, small.ledger) == 1
    assert mirror_head(small.on, small.spec) == head(small)
