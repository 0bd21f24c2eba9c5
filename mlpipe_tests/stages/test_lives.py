"""A policy lived through by the stages alone: what it asked for, that a killed life goes on, and that production stays as it is."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import mlpipe as ml
from mlpipe.core.policy import Policy
from mlpipe.core.worth import Budget, Pays
from mlpipe.errors import NotFoundError, StoreError
from mlpipe.ledger.chain import Ledger
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import lives, predict, train
from mlpipe.stages.lives import Life, Recorded
from mlpipe.stages.past import Past
from mlpipe.stages.retraining import facts_of
from mlpipe_tests.stages.candidates import spec_at, turned
from mlpipe_tests.stages.pipelines import DATA, LATER, World, day, days, written

FIRST, TURN, LAST = 14, 15, 26
EAGER = Policy(
    every="never", drift=None, performance=0.05, cool_down=timedelta(days=5), min_new_data=timedelta(days=1)
)
Begun = Callable[..., Life]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[PipelineSpec, World]:
    """Days of which from the eighteenth on who stayed leaves; only their facts are on record."""
    folder = tmp_path_factory.mktemp("lives")
    rows = written(folder / "rows", days(LAST), **{f"d{n}": turned for n in range(TURN, LAST)})
    spec = spec_at(rows, split=ml.Split(valid="1d", test="4d"))
    made = World(folder / "store")
    made.run_all(DATA, spec, days(LAST))
    return spec, made


def begun(
    world: tuple[PipelineSpec, World],
    policy: Policy = EAGER,
    name: str = "eager",
    known: Recorded | None = None,
    **more: Any,
) -> Life:
    """A life as a process begins it: all that it knows is in the store."""
    spec, made = world
    past = Past(spec, made.store, Ledger(made.store.backend, spec.name))
    keys = days(LAST - FIRST, first=FIRST)
    return Life(known or Recorded(spec, past), name, policy, keys, made.context(spec, LATER), **more)


def records(world: tuple[PipelineSpec, World]) -> list[Record]:
    spec, made = world
    return [from_bytes(data, name) for name, data in made.store.records(spec.name)]


def test_a_life_asks_trains_judges_and_promotes_in_a_chain_of_its_own(
    world: tuple[PipelineSpec, World],
) -> None:
    spec, made = world
    told: list[tuple[int, int, str]] = []
    life = begun(world)
    life.live(lambda *night: told.append(night))
    asked = life.asked()
    assert [n for n, _, _ in told] == list(range(1, LAST - FIRST + 1))
    assert [t for _, _, t in told if t] == [f"{a.name}: @{a.version} {a.outcome}" for a in asked]
    first, *others = asked
    assert (first.key, first.cause, first.outcome) == (day(FIRST), "first", "promoted")
    assert others and {a.cause for a in others} == {"performance"} and others[0].key > day(TURN - 1)
    assert "promoted" in {a.outcome for a in others} and all(a.seconds > 0 for a in asked)
    gaps = [b.moment - a.moment for a, b in zip(asked, asked[1:], strict=False)]
    assert min(gaps) >= timedelta(days=5), "asked again within the cool-down"
    assert all(a.why for a in asked if a.outcome == "refused")
    # Each day is scored by the champion of its own night.
    champions = life.heads.find(f"{spec.name}/predictions", life.keys)
    for key, head in champions.items():
        champion = life.ledger.state(as_of=life.moment(key)).champion
        assert (head.data or {}).get("version") == (None if champion is None else champion.number)
    assert not Ledger(made.store.backend, spec.name).entries(), "production was moved"
    assert {r.deployment for r in records(world) if r.stage == "train"} == {life.chain}


def test_lived_again_it_is_the_same_and_nothing_is_trained(
    world: tuple[PipelineSpec, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = begun(world)
    once.live()
    entries = once.ledger.entries()
    monkeypatch.setattr(train, "_fit", lambda *args: pytest.fail("trained again"))
    again = begun(world)
    again.live()
    assert again.chain == once.chain and again.ledger.entries() == entries and again.asked() == once.asked()
    # The same decisions under another name: a chain of its own, the models those of before, and what they took then.
    other = begun(world, name="other")
    other.live()
    assert other.chain != once.chain
    assert [a.bundle for a in other.asked()] == [a.bundle for a in once.asked()]
    assert [a.seconds for a in other.asked()] == pytest.approx([a.seconds for a in once.asked()], abs=0.5)


@pytest.mark.parametrize(
    "stage",
    ["evaluation", *(pytest.param(s, marks=pytest.mark.long) for s in ("predictions", "monitor", "release"))],
)
def test_killed_anywhere_it_goes_on_and_decides_as_if_it_had_not_been(
    tmp_path: Path, world: tuple[PipelineSpec, World], stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = begun(world)
    whole.live()
    name = f"killed-{stage}"
    count = 0
    run = lives.run_stage

    def dying(what: Any, spec_: Any, keys: Any, ctx: Any) -> Any:
        nonlocal count
        if what.asset == stage:
            count += 1
            if count in (2, 3):
                yield from run(what, spec_, keys, ctx) if count == 2 else ()
                raise StoreError("the disk is full")
        yield from run(what, spec_, keys, ctx)

    monkeypatch.setattr(lives, "run_stage", dying)
    for _ in range(2):
        with pytest.raises(StoreError):
            begun(world, name=name).live()
    life = begun(world, name=name)
    life.live()
    assert [(a.key, a.name, a.outcome, a.bundle) for a in life.asked()] == [
        (a.key, a.name, a.outcome, a.bundle) for a in whole.asked()
    ]
    kinds = [(e.kind, e.version, e.effective_at, e.reason) for e in life.ledger.entries()]
    assert kinds == [(e.kind, e.version, e.effective_at, e.reason) for e in whole.ledger.entries()]


def test_what_never_asks_is_given_a_first_model_and_no_other(world: tuple[PipelineSpec, World]) -> None:
    life = begun(world, Policy(every="never", drift=None, levels=False), "never")
    life.live()
    assert [(a.cause, a.outcome) for a in life.asked()] == [("first", "promoted")]


def test_a_training_and_a_night_that_fail_stop_nothing(
    world: tuple[PipelineSpec, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlpipe.errors import UserCodeError

    real = predict.plans
    broken = {day(FIRST + 5)}

    def plans(spec: Any, keys: Any, ctx: Any) -> Any:
        for plan in real(spec, keys, ctx):
            if plan.key in broken and "policy-broken" in ctx.ledger.deployment:
                raise UserCodeError("it scores no Fridays", where=f"pipeline {spec.name}")
            yield plan

    monkeypatch.setattr(
        lives.predict, "STAGE", lives.Stage("predict", "predictions", predict.STAGE.version, plans)
    )
    life = begun(world, name="broken")
    life.live()
    assert list(life.failed) == [day(FIRST + 5)] and "no Fridays" in life.failed[day(FIRST + 5)]
    watched = life.heads.find(f"{life.spec.name}/monitor", life.keys)
    assert set(life.keys) - set(watched) == broken and len(life.asked()) > 1

    def crash(*args: Any) -> Any:
        raise UserCodeError("out of luck", where="model")

    monkeypatch.setattr(train, "_fit", crash)
    never = begun(
        world,
        Policy(every="day", drift=None, cool_down=timedelta(days=30), min_new_data=timedelta(days=1)),
        "crash",
        codes=["new"],
    )
    monkeypatch.setattr(train, "STAGE", lives.Stage("train", "model", "crashing", train.plans))
    monkeypatch.setattr(lives, "TRAINING", (train.STAGE, *lives.TRAINING[1:]))
    never.live()
    asked = never.asked()
    assert {a.outcome for a in asked} == {"failed"} and asked[0].why == "out of luck"
    assert len(asked) == 3, "three crashes in a row, and the cool-down holds"
    again = begun(
        world,
        Policy(every="day", drift=None, cool_down=timedelta(days=30), min_new_data=timedelta(days=1)),
        "crash",
        codes=["new"],
    )
    again.live()
    assert [a.outcome for a in again.asked()] == ["failed"] * 3


def test_another_code_or_other_rows_are_another_life(world: tuple[PipelineSpec, World]) -> None:
    one = begun(world)
    known = one.recorded
    assert one.chain == begun(world, known=known).chain and one.chain.startswith(
        f"policy-eager-{day(FIRST)}-{day(LAST - 1)}-"
    )
    assert begun(world, known=known, codes=["2"]).chain != one.chain
    assert begun(world, Policy(), known=known).chain != one.chain


def test_without_features_it_says_what_to_run(tmp_path: Path) -> None:
    spec = spec_at(tmp_path)
    made = World(tmp_path / "store")
    with pytest.raises(NotFoundError, match=r"no partition from 2024-01-15 to \S+ has features") as told:
        begun((spec, made))
    assert "mlpipe run churn --from 2024-01-15" in told.value.fix


def test_what_trainings_won_and_took_and_how_much_is_predicted(world: tuple[PipelineSpec, World]) -> None:
    life = begun(world)
    life.live()
    spec, store, key = life.spec, life.recorded.store, life.keys[-1]
    state, entries = life.ledger.state(), life.ledger.entries()
    weighing = Policy(pays=Pays(1.0, 1.0), budget=Budget(minutes=1.0))
    facts = facts_of(spec, weighing, key, life.heads, state, entries, store)
    assert facts.per_day == pytest.approx(60), "sixty rows a day"
    outcomes = [a.outcome for a in life.asked()]
    assert outcomes == ["promoted", "refused", "promoted"]
    first, refused, better = facts.attempts
    assert (first.gain, refused.gain) == (None, 0.0), (
        "the first was compared with none; a refused one wins nothing"
    )
    gates = state.versions[3].details["gates"]
    (observed,) = (g["observed"] for g in gates if g["kind"] == "beats_champion")
    assert better.gain == observed and better.gain > 0.5
    for attempt, version in zip(facts.attempts, state.versions.values(), strict=True):
        made = [str(version.details[k]) for k in ("model_record", "evaluation_record")]
        took = sum(from_bytes(store.get_record(spec.name, n), n).cost.wall_s for n in made)
        assert attempt.minutes == pytest.approx(took / 60)
    # Whoever asks for neither is not told.
    plain = facts_of(spec, EAGER, key, life.heads, state, entries, store)
    assert {a.gain for a in plain.attempts} == {None} and plain.per_day is None
