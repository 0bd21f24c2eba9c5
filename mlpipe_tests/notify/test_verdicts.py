"""Alerts from materializations: partitions that failed, and what each day of monitoring says."""

import random

from hypothesis import given
from hypothesis import strategies as st

from mlpipe.notify.verdicts import Seen, Watched, followed, of_validation
from mlpipe.spec.modeling import Retrain
from mlpipe_tests.notify.receiver import seen
from mlpipe_tests.orchestration.shop import shop

SPEC = shop().spec
PROMISED = {1: {"roc_auc": 0.8}}
POLICED = SPEC.model_copy(update={"retrain": Retrain(performance=0.04)})


def days(*verdicts: str, first: int = 1) -> list[Seen]:
    """Monitor of one day after the other: ``1d`` drifts under version 1, ``2s`` is stable under version 2, ``-`` has no data."""
    made = []
    for n, text in enumerate(verdicts, start=first):
        known = {"d": "drift", "s": "stable"}.get(text[-1], "no_data")
        data = {"version": int(text[0]), "alarms": ["size"] if text[-1] == "d" else []} if text != "-" else {}
        made.append(seen(f"2024-01-{n:02d}", known, n, **data))
    return made


def told(given: list[Seen], before: Watched = Watched()) -> list[tuple[str, str]]:  # noqa: B008
    """Day and state of each word about drift."""
    return [
        (a.partition[-2:], a.state + (a.episode.partition("\n")[0] if a.state == "firing" else ""))
        for s in followed(SPEC, given, before)
        for a in s.alerts
        if a.kind == "drift"
    ]


def end(given: list[Seen], before: Watched = Watched()) -> Watched:  # noqa: B008
    steps = list(followed(SPEC, given, before))
    return steps[-1].after if steps else before


def test_each_day_says_whether_there_is_drift_and_of_which_champion() -> None:
    assert told(days("1s", "1d", "2d", "2s")) == [
        ("01", "resolved"),
        ("02", "firing1"),
        ("03", "firing2"),
        ("04", "resolved"),
    ]


def test_partitions_without_data_say_nothing() -> None:
    assert told(days("1d", "-", "1s")) == [("01", "firing1"), ("03", "resolved")]


def test_an_older_partition_says_nothing_new() -> None:
    live = days("1s", "1s", "1s")
    again = [seen("2024-01-02", "drift", 10, version=1, alarms=["size"])]
    assert told([*live, *again]) == told(live) and told(again, end(live)) == []


def test_the_newest_partition_made_again_may_change_its_verdict() -> None:
    again = [seen("2024-01-03", "drift", 10, version=1, alarms=["size"])]
    live = days("1s", "1s", "1s")
    assert told(again, end(live)) == [("03", "firing1")]
    # Read once more, neither verdict of that partition is news.
    assert told([*live, *again], end([*live, *again])) == []


def test_a_partition_of_another_calendar_is_left_out() -> None:
    assert told([seen("1999-01-01", "drift", 1, version=1), seen("week 3", "drift", 2, version=1)]) == []


@given(st.lists(st.sampled_from(["1s", "1d", "2s", "2d", "-"]), max_size=20), st.integers(0, 20), st.data())
def test_however_it_is_cut_and_repeated_the_same_is_told_once(
    verdicts: list[str], cut: int, data: st.DataObject
) -> None:
    whole = days(*verdicts)
    first, rest = whole[:cut], whole[cut:]
    overlap = whole[data.draw(st.integers(0, len(first))) : cut]
    shuffled = random.Random(data.draw(st.integers(0, 99))).sample(
        [*overlap, *rest], len(overlap) + len(rest)
    )
    state = end(first)
    assert told(first) + told(shuffled, state) == told(whole)
    assert told(whole, end(whole)) == []


def test_drift_is_told_in_words_with_numbers() -> None:
    day = seen(
        "2024-01-05",
        "drift",
        5,
        version=2,
        alarms=["size", "price", "a", "b", "c", "d"],
        worst="size",
        worst_psi=0.41234,
        score_psi=0.05,
        primary="roc_auc",
        rolling=0.8123456,
    )
    ((_, _, (opened,)),) = followed(SPEC, [day], Watched())
    assert opened.id == "drift:rec-5" and opened.severity == "warning" and opened.run == "run-5"
    assert opened.title == "shop@2 drifts: 6 watched features"
    assert opened.text == (
        "Since 2024-01-05 the window differs from what shop@2 learned from in size, price, a, b, c and 1 more; "
        "the worst is size with a PSI of 0.4123; PSI of the score 0.05; roc_auc 0.8123 over the window; "
        "look: mlpipe drift shop --on 2024-01-05."
    )


def test_a_partition_that_failed_is_told_with_its_rows() -> None:
    rows = {
        "rows": {"raw": 80, "kept": 12, "quarantined": 67, "repaired": 1},
        "users": {"raw": 9, "kept": 9, "quarantined": 0, "repaired": 0},
    }
    told = of_validation(SPEC, seen("2024-01-05", "fail", 7, asset="validated", rows=rows, score=0.1625))
    assert (
        told.kind == "invalid"
        and told.id == "invalid:2024-01-05:rec-7"
        and told.live
        and told.state == "firing"
    )
    assert told.text == (
        "Partition 2024-01-05 of shop failed its contract and is left out downstream: "
        "13 of 80 rows kept in source rows, 67 quarantined; quality 0.1625."
    )
    for verdict in ("pass", "empty"):
        good = of_validation(SPEC, seen("2024-01-05", verdict, 8, asset="validated", rows=rows))
        assert good.state == "resolved" and good.key == told.key and good.id != told.id
    past = of_validation(SPEC, seen("2024-01-05", "fail", 7, trigger="replay", rows=rows))
    assert not past.live


def ripening(day: int, event: int, rolling: float | None, verdict: str = "stable") -> Seen:
    levels = {} if rolling is None else {"performance_fall": [0.1, "met" if rolling > 0.75 else "missed"]}
    return seen(
        f"2024-01-{day:02d}", verdict, event, version=1, primary="roc_auc", rolling=rolling, levels=levels
    )


def heard(given: list[Seen], before: Watched = Watched()) -> list[tuple[str, str, str]]:  # noqa: B008
    steps = followed(POLICED, given, before, PROMISED)
    return [(a.partition[-2:], a.key, a.state) for s in steps for a in s.alerts if a.key != "drift"]


def test_what_waits_for_labels_is_told_by_the_newest_day_that_knows_it() -> None:
    # Labels of a day come four nights later: the newest day never has any.
    nights = [ripening(day, day, None) for day in range(1, 9)]
    labelled = [ripening(day, 20 + day, 0.8 if day < 3 else 0.6, "drift") for day in range(1, 5)]
    told = heard([*nights, *labelled])
    assert [t for t in told if t[1] == "performance"] == [
        (f"{day:02d}", "performance", "resolved" if day < 3 else "firing") for day in range(1, 5)
    ]
    assert [t[2] for t in told if t[1] == "level:performance_fall"] == [
        "resolved",
        "resolved",
        "firing",
        "firing",
    ]
    # Read once more, or made once more while a later day has spoken: nothing.
    after = [*followed(POLICED, [*nights, *labelled], Watched(), PROMISED)][-1].after
    assert heard([*nights, *labelled], after) == []
    assert heard([ripening(2, 40, 0.8)], after) == []
    assert [t[0] for t in heard([ripening(5, 41, 0.8)], after)] == ["05", "05"]


def test_of_a_day_that_is_older_only_what_waits_for_labels_is_heard() -> None:
    live = [ripening(day, day, None) for day in range(1, 9)]
    after = [*followed(POLICED, live, Watched(), PROMISED)][-1].after
    (step,) = followed(SPEC, [ripening(3, 20, 0.6, "drift")], after)
    assert {a.key for a in step.alerts} == {"level:performance_fall"}
    assert step.after[:2] == after[:2]
