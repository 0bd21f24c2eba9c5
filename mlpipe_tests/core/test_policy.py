"""The retraining policy: hand-computed nights, and what holds for any past."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.policy import Attempt, Decision, Facts, Observation, Policy, decide
from mlpipe.core.worth import Budget, Pays

START = datetime(2024, 3, 1, tzinfo=UTC)
DRIFT = Policy(every="never", drift=0.2, min_new_data=timedelta(0))


def day(n: int, psi: float | None = 0.0, **more: Any) -> Observation:
    """The n-th day from the first of March, whose night begins at the start of the day after it."""
    columns = {} if psi is None else {"temp": (psi, 0.25)}
    given: dict[str, Any] = {"version": 1, "columns": columns, "watched": len(columns), **more}
    return Observation(f"2024-03-{n + 1:02d}", START + timedelta(days=n + 1), **given)


def facts(days: Sequence[Observation], **more: Any) -> Facts:
    return Facts(observations=days, **{"champion": 1, **more})


def psis(*values: float | None) -> Facts:
    return facts([day(n, psi) for n, psi in enumerate(values)])


def asked(decision: Decision, n: int, failed: bool = False) -> Attempt:
    return Attempt(decision.name, decision.cause, START + timedelta(days=n + 1), failed)


def test_drift_asks_once_at_the_limit_and_says_which_column() -> None:
    assert not decide(DRIFT, psis(0.0, 0.19)).ask
    told = decide(DRIFT, psis(0.0, 0.2))
    assert told.ask and told.cause == "drift"
    assert told.name == "drift:1:2024-03-02:1"
    assert told.reason == "PSI of temp is 0.2, limit 0.2, on 2024-03-02"
    assert told.details == {"partition": "2024-03-02", "column": "temp", "value": "0.2", "limit": "0.2"}


def test_an_episode_closes_only_below_half_of_its_limit() -> None:
    # 0.3 opens; 0.15 is below the limit and above half of it: still open, and named after its first day.
    assert decide(DRIFT, psis(0.3, 0.15)).name == "drift:1:2024-03-01:1"
    assert not decide(DRIFT, psis(0.3, 0.09)).ask
    assert decide(DRIFT, psis(0.3, 0.09, 0.21)).name == "drift:1:2024-03-03:1"
    # A day without a measure neither opens nor closes.
    assert decide(DRIFT, psis(0.3, None)).name == "drift:1:2024-03-01:1"


def test_an_episode_that_stays_open_asks_again_after_the_cool_down() -> None:
    days = [day(n, 0.3) for n in range(15)]
    first = decide(DRIFT, facts(days[:1]))
    for n in range(1, 14):
        later = decide(DRIFT, facts(days[: n + 1], attempts=[asked(first, 0)]))
        assert not later.ask and "cool-down of 14 days" in later.held[0]
    again = decide(DRIFT, facts(days, attempts=[asked(first, 0)]))
    assert again.ask and again.name == "drift:1:2024-03-01:2"


def test_an_episode_belongs_to_its_champion() -> None:
    days = [day(0, 0.3, version=1), day(1, 0.3, version=2)]
    assert decide(DRIFT, facts(days, champion=2)).name == "drift:2:2024-03-02:1"
    # Days that were watched with another version say nothing about this one.
    assert decide(DRIFT, facts([*days, day(2, 0.0, version=2)])).name == "drift:1:2024-03-01:1"
    assert not decide(DRIFT, facts([day(0, 0.3, version=1)], champion=2)).ask


def test_each_column_has_its_own_limit_unless_a_number_is_named() -> None:
    days = [replace(day(0), columns={"a": (0.5, 1.0), "b": (0.4, 0.3)}, watched=2)]
    own = decide(Policy(every="never"), facts(days))
    assert own.details["column"] == "b" and own.details["limit"] == "0.3"
    assert decide(replace(DRIFT, drift=0.45), facts(days)).details["column"] == "a"


def test_share_score_and_performance() -> None:
    many = replace(day(0), columns={"a": (0.3, 1), "b": (0.3, 1), "c": (0.1, 1)}, watched=4)
    share = Policy(every="never", drift=0.2, drift_share=0.75, min_new_data=timedelta(0))
    assert (
        decide(replace(share, drift=None, drift_share=0.5), facts([many])).ask is False
    )  # by own limits none drifts
    told = decide(replace(share, drift_share=0.25), facts([many]))
    assert told.reason.startswith("2 of 4 watched columns drift, limit 0.25")
    score = Policy(every="never", drift=None, score_drift=0.1)
    assert decide(score, facts([day(0, score_psi=0.09)])).ask is False
    assert decide(score, facts([day(0, score_psi=0.1)])).details["column"] == "score"
    # Evaluated at 0.80, realised 0.74: 0.06 worse. For a loss, less is better.
    fall = Policy(every="never", drift=None, performance=0.05)
    told = decide(fall, facts([day(0, rolling=0.74)], expected=0.80))
    assert told.ask and told.cause == "performance" and "0.06 worse than 0.8" in told.reason
    assert not decide(fall, facts([day(0, rolling=0.74)], expected=0.80, sign=-1.0)).ask
    assert decide(fall, facts([day(0, rolling=0.86)], expected=0.80, sign=-1.0)).ask
    assert not decide(fall, facts([day(0, rolling=None)], expected=0.80)).ask


def test_a_month_is_asked_for_once_on_its_first_night() -> None:
    monthly = Policy(drift=None)
    trained = START - timedelta(days=20)  # in February
    days = [day(n) for n in range(31)]
    # The day before the first of March ended ends in March: its night is the first of the month.
    first = decide(monthly, facts([day(-1 + 0)], trained_until=trained))
    assert (
        first.ask
        and first.name == "schedule:1:2024-03:1"
        and first.reason == "the month of 2024-03 has begun"
    )
    attempt = asked(first, 0)
    for n in range(30):
        assert not decide(monthly, facts(days[: n + 1], trained_until=trained, attempts=[attempt])).ask
    april = decide(monthly, facts(days, trained_until=trained, attempts=[attempt]))
    assert april.name == "schedule:1:2024-04:1"


def test_little_new_data_holds_a_cadence_but_never_longer_than_its_length() -> None:
    monthly, weekly = Policy(drift=None), Policy(every="week", drift=None, min_new_data=timedelta(days=30))
    late = START - timedelta(days=2)  # 28 February
    held = decide(monthly, facts([day(0)], trained_until=late))
    assert not held.ask and "3 days of new data" in held.held[0]
    assert decide(monthly, facts([day(n) for n in range(6)], trained_until=late)).ask
    assert decide(weekly, facts([day(n) for n in range(6)], trained_until=late)).ask


def test_new_and_corrected_data() -> None:
    new = Policy(every="never", drift=None, on_new_data=True)
    assert not decide(new, facts([day(5)], trained_until=START)).ask
    assert (
        decide(new, facts([day(6)], trained_until=START)).reason
        == "7 days of new data since the last training"
    )
    fixed = facts([day(0)], trained_until=START, corrected=("2024-02-01",), correction="abc")
    told = decide(new, fixed)
    assert told.name == "data:1:abc:1" and "2024-02-01" in told.reason
    # The same correction asks once, however long the champion stays.
    later = replace(
        fixed, observations=[day(20)], attempts=[asked(told, 0)], trained_until=START + timedelta(days=18)
    )
    assert not decide(new, later).ask


def test_without_a_model_the_first_is_asked_for_once_the_window_is_covered() -> None:
    days = [day(0, None, version=None), day(1, None, version=None)]
    short = facts(days, champion=None, good=71, needed=72)
    assert "71 of 72 needed partitions" in decide(Policy(), short).held[0]
    assert decide(Policy(), replace(short, good=72)).name == "first:0:2024-03-01:1"
    assert not decide(Policy(every="never", drift=None), replace(short, good=72)).ask
    assert not decide(Policy(), Facts(observations=())).ask


def test_a_crash_asks_again_three_times_and_then_waits() -> None:
    days = [day(n, 0.3) for n in range(20)]
    attempts: list[Attempt] = []
    for n in range(3):
        told = decide(DRIFT, facts(days[: n + 1], attempts=attempts))
        assert told.name == f"drift:1:2024-03-01:{n + 1}"
        attempts.append(asked(told, n, failed=True))
    held = decide(DRIFT, facts(days[:4], attempts=attempts))
    assert not held.ask and "the last 3 attempts failed" in held.held[0]
    assert decide(DRIFT, facts(days, attempts=attempts)).ask


def test_what_falls_together_is_asked_for_once() -> None:
    both = decide(Policy(drift=0.2, min_new_data=timedelta(0)), psis(0.3))
    assert both.cause == "drift" and "also the month of 2024-03 has begun" in both.reason
    next_night = facts([day(0, 0.3), day(1, 0.3)], attempts=[asked(both, 0)])
    assert not decide(Policy(drift=0.2, min_new_data=timedelta(0)), next_night).ask


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=60),
    cool=st.integers(1, 20),
    close=st.floats(0.1, 1),
    crashes=st.sets(st.integers(0, 59)),
)
def test_any_past_lived_night_by_night(
    values: list[float], cool: int, close: float, crashes: set[int]
) -> None:
    policy = Policy("week", 0.4, cool_down=timedelta(days=cool), close=close, min_new_data=timedelta(0))
    attempts: list[Attempt] = []
    for n in range(len(values)):
        known = facts([day(i, v) for i, v in enumerate(values[: n + 1])], attempts=attempts)
        told = decide(policy, known)
        assert told == decide(policy, known)
        if told.ask:
            assert told.name not in [a.name for a in attempts], "a name is asked for once"
            attempts.append(asked(told, n, failed=n in crashes))
        # Asked again after it was claimed, in the same night: nothing more, unless it crashed.
        if told.ask and n not in crashes:
            assert not decide(policy, replace(known, attempts=attempts)).ask
    triggered = [a.end for a in attempts if a.cause == "drift" and not a.failed]
    assert all(b - a >= timedelta(days=cool) for a, b in zip(triggered, triggered[1:], strict=False))
    weeks = [a.name for a in attempts if a.cause == "schedule" and not a.failed]
    assert len(weeks) == len(set(weeks))


def test_a_missed_level_asks_until_it_is_met_and_unknown_days_change_nothing() -> None:
    quiet = Policy(every="never", drift=None, min_new_data=timedelta(0))

    def lived(*levels: dict[str, tuple[float, bool]]) -> Decision:
        return decide(quiet, facts([day(n, None, levels=each) for n, each in enumerate(levels)]))

    missed, met = {"performance": (0.61, True)}, {"performance": (0.71, False)}
    told = lived(met, missed)
    assert told.ask and told.name == "level:1:2024-03-02:1"
    assert told.reason == "the service level performance is missed with 0.61 on 2024-03-02"
    assert lived(missed, {}).name == "level:1:2024-03-01:1"
    assert not lived(missed, met).ask
    # Another level that is met does not close the one that is not known.
    assert lived({**missed, "rows": (9.0, False)}, {"rows": (9.0, False)}).cause == "level"
    off = replace(quiet, levels=False)
    assert not decide(off, facts([day(0, None, levels=missed)])).ask


PAYS = Policy(every="never", drift=None, min_new_data=timedelta(0), pays=Pays(value=1.0, training=28.0))


def fallen(rolling: float | None, **more: Any) -> Facts:
    """A champion of 0.8 that scores `rolling` now, on 100 predictions a day: a hundredth is worth 28 until the next review."""
    return facts([day(0, None, rolling=rolling)], expected=0.8, per_day=100.0, **more)


def test_a_training_is_asked_for_when_its_expected_gain_pays() -> None:
    told = decide(PAYS, fallen(0.7899))
    assert told.ask and told.cause == "gain" and told.name == "gain:1:2024-03-01:1"
    assert "worth 28.28, and it costs 28" in told.reason
    assert not decide(PAYS, fallen(0.7901)).ask
    # Of a metric of which less is better a rise is the fall.
    assert decide(PAYS, fallen(0.8101, sign=-1.0)).ask and not decide(PAYS, fallen(0.7899, sign=-1.0)).ask
    # Nothing is known of the metric, or of how much is predicted: nothing is expected.
    assert not decide(PAYS, fallen(None)).ask
    assert not decide(PAYS, replace(fallen(0.5), per_day=None)).ask
    assert not decide(PAYS, replace(fallen(0.5), expected=None)).ask


def test_refused_trainings_ask_for_a_greater_fall() -> None:
    long_ago = START - timedelta(days=60)
    refused = [Attempt(f"gain:1:x:{n}", "gain", long_ago, gain=0.0) for n in range(2)]
    assert not decide(PAYS, fallen(0.775, attempts=refused)).ask
    assert decide(PAYS, fallen(0.769, attempts=refused)).ask
    # One that was compared with no champion tells nothing.
    first = Attempt("first:0:x:1", "first", long_ago, gain=None)
    assert decide(PAYS, fallen(0.7899, attempts=[first])).ask


def test_a_budget_holds_until_the_month_is_over() -> None:
    policy = replace(DRIFT, cool_down=timedelta(0), budget=Budget(retrains=1))
    days = [day(n, 0.3) for n in range(31)]
    done = Attempt("drift:1:2024-03-01:1", "drift", START + timedelta(days=1), minutes=3.0)
    held = decide(policy, facts(days[:20], attempts=[done]))
    assert not held.ask and held.held == ("drift: budget: 1 of 1 trainings of 2024-03 were asked for",)
    # The night of the thirty-first ends with April.
    assert decide(policy, facts(days, attempts=[done])).ask
    assert decide(policy, facts(days[:20], attempts=[replace(done, failed=True)])).ask, "it was none"
    timely = replace(policy, budget=Budget(minutes=3.0))
    assert "3 of 3 minutes" in decide(timely, facts(days[:20], attempts=[done])).held[0]
    assert decide(replace(policy, budget=Budget(minutes=3.5)), facts(days[:20], attempts=[done])).ask


def test_a_pipeline_without_a_model_is_not_held_by_its_budget() -> None:
    policy = replace(PAYS, budget=Budget(retrains=0))
    assert decide(policy, facts([day(0, version=None)], champion=None)).cause == "first"
