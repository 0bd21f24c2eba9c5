"""Which runs bring a range up to date, and what a run may take: places in a pool, time, secrets."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

import mlpipe as ml
from mlpipe.errors import MlpipeError, NotFoundError, TransientError
from mlpipe.orchestration.runs import instance, plan, span
from mlpipe_tests.orchestration.conftest import FIRST, LAST, World, world_at
from mlpipe_tests.orchestration.shop import orders, shop


def planned(first: str, last: str, *train_at: str) -> list[tuple[str, str, str]]:
    return [(r.job, r.first, r.last) for r in plan(shop().spec, first, last, train_at)]


def test_the_days_between_two_trainings_are_scored_by_the_first() -> None:
    assert planned("2024-01-01", "2024-01-20", "2024-01-15", "2024-01-11") == [
        ("ingest", "2024-01-01", "2024-01-20"),
        ("training", "2024-01-11", "2024-01-11"),
        ("daily", "2024-01-11", "2024-01-14"),
        ("training", "2024-01-15", "2024-01-15"),
        ("daily", "2024-01-15", "2024-01-20"),
    ]


def test_without_a_training_the_whole_range_is_scored_and_with_a_late_one_nothing_is() -> None:
    assert planned("2024-01-01", "2024-01-03")[1:] == [("daily", "2024-01-01", "2024-01-03")]
    assert planned("2024-01-01", "2024-01-03", "2024-01-09")[1:] == [("training", "2024-01-09", "2024-01-09")]
    assert planned("2024-01-05", "2024-01-06", "2024-01-02")[1:] == [
        ("training", "2024-01-02", "2024-01-02"),
        ("daily", "2024-01-05", "2024-01-06"),
    ]


def test_a_span_is_checked_before_anything_runs() -> None:
    spec = shop().spec
    assert span(spec, FIRST, None, []) == (FIRST, FIRST) and span(spec, FIRST, LAST, []) == (FIRST, LAST)
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")
    for first, last, train_at in ((today, None, []), (FIRST, today, []), (FIRST, None, [today])):
        with pytest.raises(NotFoundError, match=f"partition {today} has not ended yet") as caught:
            span(spec, first, last, train_at)
        assert yesterday in str(caught.value)
    with pytest.raises(MlpipeError, match="is before"):
        span(spec, LAST, FIRST, [])
    with pytest.raises(NotFoundError, match="unknown partition '2023-12-31'"):
        span(spec, "2023-12-31", LAST, [])
    whole = shop(partitions=ml.unpartitioned(), window=None).spec
    assert span(whole, None, None, []) == ("all", "all")
    with pytest.raises(MlpipeError, match="has no partitions"):
        span(whole, FIRST, None, [])


@pytest.mark.parametrize(
    ("home", "what"),
    [
        (None, "DAGSTER_HOME is not set"),
        ("relative", "must be an absolute path"),
        ("/nowhere/at/all", "there is no folder"),
    ],
)
def test_without_a_usable_dagster_home_nothing_starts(
    home: str | None, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home is not None:
        monkeypatch.setenv("DAGSTER_HOME", home)
    with pytest.raises(MlpipeError, match=what) as caught:
        instance()
    assert "mkdir -p" in str(caught.value)


def test_an_instance_that_cannot_be_opened_is_one_paragraph(home: Path) -> None:
    (home / "dagster.yaml").write_text("storage: {sqlite: {base_dir: [1]}}")
    with pytest.raises(MlpipeError, match="Dagster cannot open its instance"):
        instance()


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_training_waits_for_its_place_in_the_pool(small: World) -> None:
    world = world_at(Path(small.spec.store or "").parent, small.on, pool="gpu")
    storage = small.on.event_log_storage
    storage.set_concurrency_slots("gpu", 1)
    storage.claim_concurrency_slot("gpu", "somebody else", "their step")
    training = threading.Thread(target=lambda: world.run("training", LAST), daemon=True)
    training.start()
    waited = 0.0
    while not small.on.get_runs() and waited < 20:
        time.sleep(0.1)
        waited += 0.1
    time.sleep(1.5)
    assert training.is_alive() and not world.events("model")
    storage.free_concurrency_slots_for_run("somebody else")
    training.join(200)
    assert not training.is_alive() and len(world.events("model")) == 1


def test_a_step_that_takes_too_long_is_ended(tmp_path: Path, on: dg.DagsterInstance) -> None:
    def slow(window: object) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            time.sleep(0.01)

    source = ml.Load(slow, event_time="at", keys=["order"])
    world = world_at(tmp_path, on, source=source, timeout="0.3s", retries={"times": 1, "delay": "0.1s"})
    started = time.monotonic()
    with pytest.raises(TransientError, match=r"took longer than 0\.3 s"):
        world.run("ingest", FIRST)
    assert time.monotonic() - started < 20


# -- secrets ----------------------------------------------------------------------------------------------------------


def everything_written(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


@pytest.mark.parametrize("reachable", [True, False])
def test_no_password_of_a_source_is_in_any_record_event_or_error(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    # In two parts: the archive of the project holds this very file.
    secret = "hunter" + "2-sEcReT"
    monkeypatch.setenv("SHOP_PASSWORD", secret)
    if reachable:
        import sqlite3

        database = tmp_path.parent / f"{tmp_path.name}-{secret}.db"
        window = type("Window", (), {"start": "2024-01-01", "end": "2024-01-03"})
        with sqlite3.connect(database) as connection:
            orders(window).to_sql("orders", connection, index=False)
        connection.close()
        url = f"sqlite:///{tmp_path.parent}/{tmp_path.name}-${{SHOP_PASSWORD}}.db"
    else:
        url = "postgresql+psycopg2://ann:${SHOP_PASSWORD}@127.0.0.1:1/shop"
    source = ml.SQL(url, "orders", event_time="at", keys=["order"])
    world = world_at(tmp_path, on, source=source, retries={"times": 0}, description="no secret")
    if reachable:
        world.run("ingest", FIRST)
        assert len(world.events("labels")) == 1
    else:
        with pytest.raises(MlpipeError) as caught:
            world.run("ingest", FIRST)
        assert secret not in str(caught.value)
    written = everything_written(tmp_path)
    assert len(written) > 10_000 and secret.encode() not in written


def test_a_password_written_into_the_url_itself_stays_out_of_records_and_events_too(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    secret = "hunter" + "3-sEcReT"
    source = ml.SQL(
        f"postgresql+psycopg2://ann:{secret}@127.0.0.1:1/shop", "orders", event_time="at", keys=["order"]
    )
    world = world_at(tmp_path, on, source=source, retries={"times": 0})
    with pytest.raises(MlpipeError) as caught:
        world.run("ingest", FIRST)
    shown = repr(world.defs.resolve_all_asset_specs()) + str(caught.value)
    assert secret not in shown and secret.encode() not in everything_written(tmp_path)


def test_watching_may_end_before_the_range() -> None:
    spec = shop().spec
    requests = plan(spec, "2024-01-01", "2024-01-20", ["2024-01-11"], watch_to="2024-01-14")
    assert [(r.job, r.first, r.last) for r in requests] == [
        ("ingest", "2024-01-01", "2024-01-20"),
        ("training", "2024-01-11", "2024-01-11"),
        ("daily", "2024-01-11", "2024-01-14"),
    ]
    early = plan(spec, "2024-01-05", "2024-01-20", [], watch_to="2024-01-01")
    assert [r.job for r in early] == ["ingest"]
