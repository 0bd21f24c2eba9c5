"""Why a run was started, and which clock it has: read from its tags."""

import time
from datetime import UTC, datetime

import dagster as dg
import pytest

from mlpipe.errors import MlpipeError
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.runtime import instant_of, own_tags, run_of, store_url
from mlpipe.records.codec import from_bytes
from mlpipe_tests.orchestration.conftest import LAST, NEXT, TRAIN_AT, World
from mlpipe_tests.orchestration.shop import shop

STARTED = datetime(2024, 3, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tags", "kind", "backfill"),
    [
        ({}, "manual", False),
        ({"mlpipe/trigger": "drift"}, "drift", False),
        # A schedule or sensor of the user's own is no person, so that the rules for automatic promotion hold.
        ({"dagster/schedule_name": "weekly_training"}, "schedule", False),
        ({"dagster/sensor_name": "new_files"}, "data", False),
        ({"dagster/from_automation_condition": "true"}, "data", False),
        ({"dagster/sensor_name": "watch", "mlpipe/trigger": "drift"}, "drift", False),
        # A backfill is one, whatever it says of itself.
        ({"dagster/backfill": "abc"}, "backfill", True),
        ({"dagster/backfill": "abc", "mlpipe/trigger": "manual"}, "backfill", True),
        ({"mlpipe/trigger": "backfill"}, "backfill", True),
    ],
)
def test_the_trigger_comes_from_the_tags(tags: dict[str, str], kind: str, backfill: bool) -> None:
    run = run_of(tags, "r", STARTED)
    assert (run.trigger.kind, run.backfill, run.as_of) == (kind, backfill, STARTED)


def test_reason_details_actor_and_experiment_are_carried() -> None:
    tags = {
        "mlpipe/trigger": "drift",
        "mlpipe/trigger.feature": "size",
        "mlpipe/reason": "PSI 0.4",
        "mlpipe/actor": "ann",
        "mlpipe/experiment": "wider",
        "mlpipe/hypothesis": "a longer window helps",
        "mlpipe/note": "second try",
        "mlpipe/tag/ticket": "ML-7",
    }
    run = run_of(tags, "r", STARTED)
    assert run.trigger.details == {"feature": "size"} and run.trigger.reason == "PSI 0.4"
    assert (run.actor, run.experiment) == ("ann", "wider")
    assert (run.hypothesis, run.note, run.tags) == ("a longer window helps", "second try", {"ticket": "ML-7"})


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"mlpipe/trigger": "scheduled"}, "unknown trigger 'scheduled'"),
        ({"mlpipe/as_of": "yesterday"}, "'yesterday' is no time"),
        ({"mlpipe/as_of": "2024-03-01T02:00:00"}, "has no zone"),
    ],
)
def test_a_tag_that_says_nothing_stops_the_run_by_name(tags: dict[str, str], what: str) -> None:
    with pytest.raises(MlpipeError, match=what) as caught:
        run_of(tags, "run-7", STARTED)
    assert "run run-7, tag mlpipe/" in str(caught.value) and str(caught.value).count("\n") == 1


def test_an_unknown_trigger_suggests_the_right_one() -> None:
    with pytest.raises(MlpipeError, match="Did you mean 'schedule'"):
        run_of({"mlpipe/trigger": "scheduled"}, "r", STARTED)


def test_as_of_is_an_instant_whatever_its_zone() -> None:
    run = run_of({"mlpipe/as_of": "2024-02-29T22:00:00-04:00"}, "r", STARTED)
    assert run.as_of == STARTED
    assert instant_of("2024-03-01T02:00:00Z", "here") == STARTED


def test_a_run_in_the_past_sees_no_later_label_and_no_later_champion(small: World) -> None:
    small.run("training", TRAIN_AT)
    early = f"{LAST}T06:00:00+00:00"
    small.run("daily", LAST, as_of=early)
    heads = {
        n: DagsterHeads(small.on, "", time.time(), datetime.fromisoformat(early)).find(f"shop/{n}", [LAST])[
            LAST
        ]
        for n in ("labels", "predictions")
    }
    # Labels are known a day later; the champion took over today, years later.
    assert heads["labels"].verdict != "ripe" and heads["predictions"].verdict == "no_champion"
    record = from_bytes(small.store.get_record("shop", heads["labels"].record))
    assert record.as_of == datetime.fromisoformat(early) < record.recorded_at
    small.run("daily", LAST)
    after = DagsterHeads(small.on, "", time.time()).find("shop/predictions", [LAST])[LAST]
    assert "predictions" in after.outputs


def test_a_bad_tag_on_a_real_run_is_told_as_it_is(small: World) -> None:
    with pytest.raises(MlpipeError, match="unknown trigger 'whim'"):
        small.run("ingest", NEXT, trigger="whim")


def test_the_store_lies_where_the_spec_the_environment_or_dagster_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert store_url(shop(store="s3://bucket/x").spec) == "s3://bucket/x"
    assert store_url(shop(store="/srv/x").spec) == "/srv/x"
    assert store_url(shop(store="x").spec) == str(shop().spec.base_dir / "x")
    monkeypatch.setenv("DAGSTER_HOME", "/srv/home")
    assert store_url(shop().spec) == "/srv/home/mlpipe"
    monkeypatch.setenv("MLPIPE_STORE", "/srv/own")
    assert store_url(shop().spec) == "/srv/own"


def test_the_record_of_a_scheduled_run_says_so(small: World) -> None:
    job = small.defs.resolve_job_def("shop_ingest")
    tags = {"dagster/schedule_name": "mine", "mlpipe/reason": "Friday"}
    assert job.execute_in_process(instance=small.on, partition_key=NEXT, tags=tags).success
    head = DagsterHeads(small.on, "", time.time()).find("shop/raw", [NEXT])[NEXT]
    trigger = from_bytes(small.store.get_record("shop", head.record)).trigger
    assert (trigger.kind, trigger.reason) == ("schedule", "Friday")
    assert isinstance(small.events("raw")[0], dg.EventLogRecord)


def test_tags_are_given_as_name_and_value() -> None:
    assert own_tags([]) == () and own_tags(["owner = ana", "q=a=b"]) == (
        ("mlpipe/tag/owner", "ana"),
        ("mlpipe/tag/q", "a=b"),
    )
    for wrong in ("owner", "owner=", "=ana"):
        with pytest.raises(MlpipeError, match="is no tag"):
            own_tags([wrong])
