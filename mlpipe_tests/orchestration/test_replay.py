"""Living through the past again: the same decisions every time, whatever happens in between."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlpipe.errors import LedgerError, MlpipeError, NotFoundError
from mlpipe.ledger.promotion import rollback
from mlpipe.orchestration.lived import gathered
from mlpipe.orchestration.replay import asked, replaying
from mlpipe.orchestration.runs import Request, run
from mlpipe.orchestration.runtime import ledger_of, surroundings
from mlpipe.stages.context import MemoryHeads, Run
from mlpipe.stages.counterfactual import Counterfactual
from mlpipe.stages.lives import Life, Recorded
from mlpipe.stages.past import Past
from mlpipe.stores.store import Store
from mlpipe.stores.verify import verify
from mlpipe.views.lived import Replay as Lived
from mlpipe_tests.house import ROOT
from mlpipe_tests.orchestration.answers import answered
from mlpipe_tests.orchestration.conftest import NO_TELEMETRY, World
from mlpipe_tests.orchestration.drifting import FIRST, LAST, PROJECT, command, drifting
from mlpipe_tests.orchestration.past import written

FAULT = "shuffled-labels@2024-01-16"


def world_at(folder: Path, on: dg.DagsterInstance, **changes: Any) -> World:
    made = drifting(store=str(folder / "store"), **changes)
    return World(made.spec, made.definitions(), on)


def live(world: World, ledger: str | None = "dev", last: str = LAST, **more: Any) -> Lived:
    """Live through it and gather what it came to."""
    what = asked(world.spec, FIRST, last, ledger=ledger, **more)
    with replaying(world.spec, world.defs, what) as past:
        past.live(lambda told: None)
        return gathered(past)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home in which the past was lived through, with a fault put in, into the deployment's ledger."""
    folder = tmp_path_factory.mktemp("lived")
    (folder / "dagster.yaml").write_text(NO_TELEMETRY)
    os.environ["DAGSTER_HOME"] = str(folder)
    try:
        with dg.DagsterInstance.get() as on:
            world = world_at(folder, on)
            yield world, live(world, inject=[FAULT])
    finally:
        del os.environ["DAGSTER_HOME"]


def test_the_past_brings_drift_a_retraining_and_a_better_model(lived: tuple[World, Lived]) -> None:
    world, past = lived
    attempts = [a for a in past.attempts if not a.injected]
    assert attempts[0].name == f"first:0:{FIRST}:1" and attempts[0].outcome == "promoted"
    drift = [a for a in attempts if a.cause == "drift"]
    # Prices rise on the eighteenth: a window of three days of which one has risen is above the limit.
    assert drift[0].name == "drift:1:2024-01-18:1" and "PSI of price" in drift[0].reason
    gaps = [(b.moment - a.moment).days for a, b in zip(drift, drift[1:], strict=False)]
    assert all(gap >= 4 for gap in gaps), "asked again within the cool-down"
    promoted = [a for a in drift if a.outcome == "promoted"]
    assert promoted and all("roc_auc" in a.why for a in drift)
    assert past.live is not None and past.fixed is not None and past.live > past.fixed
    state = world.ledger.state()
    assert state.champion is not None and state.champion.number == promoted[-1].version
    # Days are scored by the champion of their own night.
    versions = [d.version for d in past.days if d.version is not None]
    assert versions == sorted(versions) and len(set(versions)) > 1


def test_a_fault_put_in_on_purpose_is_refused_and_says_so(lived: tuple[World, Lived]) -> None:
    world, past = lived
    (fault,) = (a for a in past.attempts if a.injected)
    assert fault.injected == "shuffled-labels" and fault.outcome == "refused"
    assert fault.metric is not None and fault.rival is not None and fault.metric < fault.rival
    version = world.ledger.state().versions[fault.version or 0]
    assert version.details["inject"] == "shuffled-labels"


def test_a_replay_that_is_over_does_nothing_more(lived: tuple[World, Lived]) -> None:
    world, past = lived
    runs, entries = world.on.get_runs_count(), world.ledger.entries()
    again = live(world, inject=[FAULT])
    assert again == past
    assert world.on.get_runs_count() == runs and world.ledger.entries() == entries


def test_each_night_looks_after_the_labels_that_ripened_and_no_others(lived: tuple[World, Lived]) -> None:
    world, _ = lived
    # A label is known a day later: the night of D refreshes D - 1, and nothing else.
    for asset in ("labels", "monitor"):
        made: dict[str, int] = {}
        for event in world.events(asset):
            made[str(event.partition_key)] = made.get(str(event.partition_key), 0) + 1
        nights = [k for k in world.spec.partitions.keys(FIRST, LAST) if k not in (FIRST, LAST)]
        assert {k: made[k] for k in nights} == dict.fromkeys(nights, 2), asset
        assert made[LAST] == 1


@pytest.mark.parametrize("last", ["2024-01-18", pytest.param(LAST, marks=pytest.mark.long)])
def test_a_past_of_its_own_leaves_production_as_it_is(lived: tuple[World, Lived], last: str) -> None:
    world, past = lived
    runs, entries = world.on.get_runs_count(), world.ledger.entries()
    own = live(world, ledger=None, last=last, inject=[FAULT])
    assert own.ledger.startswith(f"replay-{FIRST}-{last}-")
    if last == LAST:
        assert replace(own, ledger="dev") == past, "the same past, the same decisions"
    else:
        # Of the last day fewer labels were known then.
        nights = len(own.days) - 1
        assert own.days[:nights] == past.days[:nights] and nights >= 5
        assert own.attempts == past.attempts[: len(own.attempts)] and len(own.attempts) >= 3
    assert world.on.get_runs_count() == runs and world.ledger.entries() == entries
    trained = [r for r in _records(world, "model") if r["deployment"] == own.ledger]
    assert trained and all(r["reused"] for r in trained), "models are not trained twice"
    facts = [r for r in _records(world, "features") if r["deployment"] == own.ledger]
    assert facts == [], "facts of the deployment are read, not made again"


@pytest.mark.parametrize("last", ["2024-01-22", pytest.param(LAST, marks=pytest.mark.long)])
def test_the_stages_alone_decide_what_a_replay_does(lived: tuple[World, Lived], last: str) -> None:
    world, _ = lived
    spec = world.spec
    what = asked(spec, FIRST, last)
    with replaying(spec, world.defs, what) as past:
        past.live(lambda told: None)
    past_of = Past(spec, world.store, ledger_of(spec, world.store))
    around = surroundings(spec, past_of.ledger, MemoryHeads(), Run("", datetime.now(UTC)))
    keys = spec.partitions.keys(FIRST, last)
    life = Life(Recorded(spec, past_of), "declared", what.policy, keys, around)
    life.live()
    shown = (
        "kind",
        "version",
        "bundle",
        "effective_at",
        "logical_date",
        "trigger",
        "reason",
        "from_version",
        "to_version",
    )
    theirs, ours = past.ledger.entries(), life.ledger.entries()
    assert [[getattr(e, n) for n in shown] for e in ours] == [[getattr(e, n) for n in shown] for e in theirs]
    assert len(ours) > 5
    gates = [[e.details.get("gates") for e in chain] for chain in (ours, theirs)]
    assert gates[0] == gates[1], "the same gates, to the digit"
    # What it watched is what was watched.
    heads = past.heads().find("shop/monitor", keys)
    for key, head in life.heads.find("shop/monitor", keys).items():
        assert head.data == heads[key].data and head.verdict == heads[key].verdict


def _records(world: World, asset: str) -> list[dict[str, Any]]:
    records = [json.loads(data) for _, data in world.store.records("shop")]
    return [r for r in records if r["asset"] == f"shop/{asset}"]


def test_other_levels_or_another_monitor_are_another_replay(tmp_path: Path) -> None:
    given: tuple[dict[str, Any], ...] = (
        {},
        {},
        {"levels": {"missing_rate": 0.2}},
        {"monitor": {"window": 5}},
    )
    ledgers = [asked(drifting(store=str(tmp_path), **more).spec, FIRST, LAST).ledger for more in given]
    assert ledgers[0] == ledgers[1] and len(set(ledgers)) == 3


@pytest.mark.long
def test_another_policy_decides_otherwise_and_has_a_ledger_of_its_own(lived: tuple[World, Lived]) -> None:
    world, past = lived
    spec = world.spec
    calm = replace(asked(spec, FIRST, LAST).policy, drift=None, every="week")
    what = asked(spec, FIRST, LAST, policy=calm)
    assert what.ledger != asked(spec, FIRST, LAST).ledger
    with replaying(spec, world.defs, what) as replayed:
        replayed.live(lambda told: None)
        other = gathered(replayed)
    assert {a.cause for a in other.attempts} == {"schedule"}
    assert [d.rows for d in other.days[1:]] == [d.rows for d in past.days[1:]]


def test_what_cannot_be_lived_through_is_refused_before_anything_is_done(lived: tuple[World, Lived]) -> None:
    world, _ = lived
    with pytest.raises(NotFoundError, match="unknown fault 'shufled-labels'") as told:
        asked(world.spec, FIRST, LAST, inject=["shufled-labels@2024-01-20"])
    assert "shuffled-labels" in str(told.value)
    with pytest.raises(MlpipeError, match="names no partition of the replay"):
        asked(world.spec, FIRST, LAST, inject=["shuffled-labels@2023-01-20"])
    both = ["shuffled-labels@2024-01-20", "shuffled-labels:size=1@2024-01-20"]
    with pytest.raises(MlpipeError, match="fault the same training"):
        asked(world.spec, FIRST, LAST, inject=both)
    with pytest.raises(MlpipeError, match="is before --from"):
        asked(world.spec, LAST, FIRST)
    never = world.spec.model_copy(update={"retrain": None})
    with pytest.raises(MlpipeError, match="never retrains by itself"):
        asked(never, FIRST, LAST)


def test_a_chain_that_others_decided_beyond_is_left_alone(home: Path) -> None:
    with dg.DagsterInstance.get() as on:
        world = world_at(home, on)
        run(world.spec, world.defs, on, Request("ingest", "2024-01-01", "2024-01-13"))
        run(world.spec, world.defs, on, Request("training", "2024-01-12", "2024-01-12"))
        with pytest.raises(LedgerError, match="after the night of 2024-01-13") as told:
            live(world)
        assert "--ledger" in str(told.value)


def test_a_day_that_fails_does_not_stop_the_next(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(window: Any) -> Any:
        from mlpipe_tests.orchestration.drifting import orders

        if window.start <= datetime(2024, 1, 16, tzinfo=UTC) < window.end:
            raise ValueError("the till is on fire")
        return orders(window)

    import mlpipe as ml

    with dg.DagsterInstance.get() as on:
        source = ml.Load(down, event_time="at", keys=["order"])
        world = world_at(home, on, source=source)
        past = live(world, last="2024-01-18")
    notes = {d.key: d.note for d in past.days if d.note}
    assert list(notes) == ["2024-01-16"] and "the till is on fire" in notes["2024-01-16"]
    assert {d.key for d in past.days if d.rows} == {"2024-01-14", "2024-01-15", "2024-01-17"}


@pytest.mark.long
def test_after_a_rollback_nothing_is_promoted_until_somebody_acknowledges(home: Path) -> None:
    """The next night does not undo a rollback."""
    with dg.DagsterInstance.get() as on:
        world = world_at(home, on)
        past = live(world, last="2024-01-27")
        promoted = [a for a in past.attempts if a.outcome == "promoted"]
        assert len(promoted) >= 2
        moment = promoted[-1].moment
        rollback(world.ledger, None, "ada", "worse by night", now=moment, prove=lambda version: None)
        back = world.ledger.state().champion
        later = live(world, last=LAST)
    after = [a for a in later.attempts if a.moment > moment]
    assert after, "training goes on"
    assert all(a.outcome == "refused" and "paused since the last rollback" in a.why for a in after)
    assert world.ledger.state().champion == back


def test_a_history_that_was_killed_before_its_labels_is_made_whole(home: Path) -> None:
    with dg.DagsterInstance.get() as on:
        world = world_at(home, on)
        half = Request("ingest", "2024-01-01", "2024-01-12", ("raw", "validated", "features"))
        run(world.spec, world.defs, on, half)
        past = live(world, last="2024-01-14")
    assert [a.outcome for a in past.attempts] == ["promoted"]
    assert [d.version for d in past.days] == [None, 1]


def test_two_at_once_are_not_possible(home: Path) -> None:
    with dg.DagsterInstance.get() as on:
        world = world_at(home, on)
        what = asked(world.spec, FIRST, LAST)
        with replaying(world.spec, world.defs, what), pytest.raises(MlpipeError, match="another process"):
            replaying(world.spec, world.defs, what).__enter__()


@pytest.mark.parametrize(
    ("kills", "last"), [(1, "2024-01-17"), pytest.param(20, LAST, marks=pytest.mark.long)]
)
def test_killed_at_random_and_resumed_it_comes_to_the_same(
    kills: int, last: str, lived: tuple[World, Lived], tmp_path: Path
) -> None:
    _, past = lived
    (tmp_path / "home").mkdir()
    (tmp_path / "home/dagster.yaml").write_text(NO_TELEMETRY)
    (tmp_path / "project.py").write_text(PROJECT)
    env = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    options = ("--ledger", "dev", "--inject", FAULT, "--json")
    run_it = command(str(tmp_path / "project.py"), *options, last=last)
    chance = random.Random(kills)
    for _ in range(kills):
        replay = subprocess.Popen(
            run_it,
            env=env,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(3, 8))
        os.killpg(replay.pid, signal.SIGKILL)
        replay.wait()
    done = subprocess.run(run_it, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    from mlpipe.views.replay import from_json

    again = replace(from_json(json.dumps(told)), seconds=None)
    if last == LAST:
        assert again == past
    else:
        # Of the last days fewer labels were known then; what was decided is the beginning of what was decided later.
        nights = len(again.days) - 1
        assert again.days[:nights] == past.days[:nights] and nights >= 3
        assert again.attempts == past.attempts[: len(again.attempts)] and len(again.attempts) >= 2
    with dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as on:
        stuck = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        assert on.get_runs_count(stuck) == 0
        made = world_at(tmp_path / "home", on)
        store = made.store if (tmp_path / "home/store").exists() else None
    assert store is None
    opened = Store.open(tmp_path / "home/mlpipe")
    assert not verify(opened).problems
    assert ledger_of(made.spec, opened).verify() == []


def test_the_gates_that_were_in_force_decide_the_past_as_they_did(
    lived: tuple[World, Lived], tmp_path: Path
) -> None:
    world, lived_through = lived
    past = Past(world.spec, world.store, world.ledger)
    cases = list(Counterfactual(past, world.spec, tmp_path, fresh=True).decide(past.keys()))
    outcomes = [a.outcome for a in lived_through.attempts]
    assert sorted(c.now.verdict for c in cases) == sorted(outcomes) and all(c.same for c in cases)
    assert [c.now.verdict for c in cases if c.registered.details.get("inject")] == ["refused"]


def test_every_record_answers_who_why_which_data_which_code_and_how_to_repeat_it(
    lived: tuple[World, Lived],
) -> None:
    world, _ = lived
    assert answered(world.store, world.spec.name).keys() == {
        "validate",
        "feature",
        "label",
        "train",
        "evaluate",
        "predict",
        "monitor",
    }


@pytest.mark.long
def test_each_record_of_a_month_answers_and_some_of_each_stage_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, defs = written(tmp_path, monkeypatch)
    with replaying(spec, defs, asked(spec, "2024-01-13", "2024-02-12", ledger="dev")) as past:
        past.live(lambda told: None)
    store = Store.open(tmp_path / "home/mlpipe", create=False)
    ways, chance = answered(store, spec.name), random.Random(7)
    counts = {stage: len(some) for stage, some in ways.items()}
    # Nothing is predicted, and nothing watched, before there is a champion.
    assert counts.keys() == {"validate", "feature", "label", "train", "evaluate", "predict", "monitor"}
    assert all(counts[stage] >= 31 for stage in ("validate", "feature", "label")), counts
    assert counts["predict"] >= 25 and counts["monitor"] >= 20, counts
    (tmp_path / "empty").mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "MLPIPE"))}
    for stage, some in ways.items():
        way = [*shlex.split(chance.choice(some))[1:], "--store", str(tmp_path / "home/mlpipe"), "--json"]
        line = [sys.executable, "-m", "mlpipe", *way]
        done = subprocess.run(
            line, cwd=tmp_path / "empty", env=kept, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, (stage, done.stderr)
        assert json.loads(done.stdout)["verdict"] == "identical", (stage, done.stdout)
