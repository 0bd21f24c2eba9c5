"""What each channel is owed, whatever fails and in whatever pieces it is read."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.notify.alert import Alert
from mlpipe.notify.channel import Carrier, NotDeliveredError
from mlpipe.notify.outbox import (
    LET_GO,
    MOST_OPEN,
    OVERLAP,
    Open,
    Outbox,
    Position,
    deliver,
    read_cursor,
    write_cursor,
)
from mlpipe.notify.verdicts import Seen, Watched, followed
from mlpipe.spec.alerts import LogChannel, Severity
from mlpipe_tests.notify.receiver import START, alert, ends, fires, seen
from mlpipe_tests.orchestration.shop import shop

BEGIN = Position(start=START, after=START)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))


def box(found: Sequence[Alert], position: Position = BEGIN, **channel: Any) -> Outbox:
    return Outbox(LogChannel(**channel), position, tuple(found))


def later(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def ids(alerts: Sequence[Alert]) -> list[str]:
    return [a.id.removeprefix("failed:") for a in alerts]


def test_what_is_owed_is_in_order_of_time_and_only_what_the_channel_wants() -> None:
    found = [
        alert("c", 3),
        alert("old", -1),
        alert("a", 1),
        alert("past", 2, live=False),
        alert("d", 4, kind="drift"),
    ]
    assert ids(box(found).owed) == ["a", "c", "d"]
    assert ids(box(found, on=["failed"]).owed) == ["a", "c"]
    assert ids(box(found, on=["failed"], replays=True).owed) == ["a", "past", "c"]


def test_the_position_moves_only_over_what_was_delivered() -> None:
    found = [alert(n, m) for m, n in enumerate("abcd", start=1)]
    first = box(found).after(found[:2], later(60), whole=True)
    assert first.after == later(2) and ids(box(found, first).owed) == ["c", "d"]
    nothing = box(found, first).after([], later(61), whole=True)
    assert nothing == first
    rest = box(found, first).after(found[2:], later(62), whole=True)
    assert rest.after == later(62) and box(found, rest).owed == [] and rest.sent == {}


def test_what_shows_late_is_sent_and_what_was_sent_is_not_sent_again() -> None:
    a, late, c = alert("a", 10), alert("late", 11), alert("c", 12)
    position = box([a, c]).after([a, c], later(13), whole=True)
    assert ids(box([a, late, c], position).owed) == ["late"]


def test_when_not_all_could_be_read_the_position_stays_and_remembers() -> None:
    a = alert("a", 10)
    position = box([a]).after([a], later(600), whole=False)
    assert position.after == START and box([a], position).owed == []
    assert ids(box([a, alert("unread", 9)], position).owed) == ["unread"]


def test_drift_counts_as_followed_only_up_to_what_was_delivered() -> None:
    spec = shop().spec
    days = [
        seen(f"2024-01-{n:02d}", v, n, version=1, alarms=["size"] if v == "drift" else [])
        for n, v in enumerate(["stable", "drift", "drift", "stable"], start=1)
    ]
    steps = tuple(followed(spec, days, Watched()))
    found = tuple(a for s in steps for a in s.alerts)
    outbox = Outbox(LogChannel(), BEGIN, found, steps)
    assert [a.partition for a in outbox.owed] == ["2024-01-02", "2024-01-04"]
    down = outbox.after([], later(60), whole=True)
    assert told(days, down) == outbox.owed
    half = outbox.after(outbox.owed[:1], later(60), whole=True)
    assert told(days, half) == outbox.owed[1:] and list(half.open) == ["drift"]
    done = outbox.after(outbox.owed, later(60), whole=True)
    assert done.watched == steps[-1].after and done.open == {}
    unwanted = Outbox(LogChannel(on=["failed"]), BEGIN, found, steps).after([], later(60), whole=True)
    assert unwanted.watched == steps[-1].after and unwanted.after == later(60)


def told(days: Sequence[Seen], position: Position) -> list[Alert]:
    """What a channel is owed of the days from its position on."""
    steps = tuple(followed(shop().spec, days, position.watched))
    return Outbox(LogChannel(), position, tuple(a for s in steps for a in s.alerts), steps).owed


# -- open and resolved ---------------------------------------------------------------------------------------------


def test_what_is_open_is_told_once_and_resolved_once() -> None:
    first = [fires("a", 1), fires("a", 2), fires("b", 3), ends("c", 4)]
    assert keys(box(first).owed) == ["a", "b"]
    position = box(first).after(box(first).owed, later(5), whole=True)
    then = [*first, fires("a", 6), ends("a", 7), ends("a", 8), fires("a", 9)]
    assert [(a.key, a.state) for a in box(then, position).owed] == [("a", "resolved"), ("a", "firing")]
    after = box(then, position).after(box(then, position).owed, later(10), whole=True)
    assert set(after.open) == {"a", "b"} and box(then, after).owed == []


def test_an_end_that_lies_before_what_is_open_ends_nothing() -> None:
    position = box([fires("a", 5)]).after([fires("a", 5)], later(6), whole=True)
    assert box([ends("a", 4), fires("a", 5)], position).owed == []
    # An end is told however long ago it was: the daemon may have been down for hours.
    asleep = replace(position, after=later(600))
    assert keys(box([ends("a", 7)], asleep).owed) == ["a"]


def test_another_episode_is_told_under_the_same_key() -> None:
    position = box([fires("drift", 1, episode="1")]).after(
        [fires("drift", 1, episode="1")], later(2), whole=True
    )
    assert box([fires("drift", 3, episode="1")], position).owed == []
    assert keys(box([fires("drift", 3, episode="2")], position).owed) == ["drift"]


@pytest.mark.parametrize(
    ("was", "now", "news"),
    [
        ("1\nsize", "1\nprice\nsize", True),
        ("1\nsize", "1\nprice", True),
        ("1\nprice\nsize", "1\nsize", False),
        ("1\nsize", "2\nsize", True),
        ("1\n2\n5", "2\n5", True),  # columns may have numbers for names
        ("exhausted", "", False),
        ("", "exhausted", True),
    ],
)
def test_what_is_open_is_told_again_when_it_holds_for_more_than_it_did(
    was: str, now: str, news: bool
) -> None:
    told = fires("drift", 1, episode=was)
    position = box([told]).after([told], later(2), whole=True)
    assert keys(box([fires("drift", 3, episode=now)], position).owed) == (["drift"] if news else [])


def test_a_channel_may_ask_for_the_grave_alone_and_hears_the_end_of_what_it_heard_of() -> None:
    found = [
        fires("a", 1, severity="warning"),
        fires("b", 2, severity="critical"),
        ends("a", 3),
        ends("b", 4),
    ]
    assert [(a.key, a.state) for a in box(found, severity="error").owed] == [
        ("b", "firing"),
        ("b", "resolved"),
    ]
    assert ids(box([alert("news", 1, severity="info")], severity="warning").owed) == []


def test_what_stays_open_is_told_again_after_the_time_that_was_asked_for() -> None:
    (told_,) = box([fires("a", 1)]).owed
    position = box([fires("a", 1)]).after([told_], later(2), whole=True)

    def due(minutes: float, at: Position = position, **channel: Any) -> list[Alert]:
        return replace(box([], at, **channel), now=later(minutes)).owed

    assert due(61, remind="1h") == [] and due(9e5, remind=None) == []
    (again,) = due(62, remind="1h")
    assert again.id != told_.id and again.key == "a" and again.title == f"Still open: {told_.title}"
    assert again.text == f"Open since 2024-03-03 12:01 UTC: {told_.text}" and again == due(70, remind="1h")[0]
    after = replace(box([], position, remind="1h"), now=later(62)).after([again], later(62), whole=True)
    assert due(121, after, remind="1h") == []
    (third,) = due(122, after, remind="1h")
    assert third.title == again.title and third.id != again.id
    # What ends in the same round is not reminded of first.
    assert [a.state for a in replace(box([ends("a", 60)], position, remind="1h"), now=later(62)).owed] == [
        "resolved"
    ]


def test_a_failure_that_nobody_makes_good_is_let_go() -> None:
    found = [fires("a", 1), fires("drift", 1, kind="drift")]
    position = box(found).after(found, later(2), whole=True)
    assert set(box([], position).after([], START + LET_GO + timedelta(hours=1), whole=True).open) == {"drift"}


def test_of_many_that_are_open_those_that_opened_last_are_remembered() -> None:
    found = [fires(str(n), 1 + n / 1000) for n in range(MOST_OPEN + 5)]
    position = box(found).after(found, later(2), whole=True)
    assert set(position.open) == {str(n) for n in range(5, MOST_OPEN + 5)}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 3)), max_size=25))
def test_a_channel_never_hears_twice_that_the_same_is_open_or_over(
    events: list[tuple[str, bool, int]],
) -> None:
    """However many are delivered each round, what a channel heard alternates, and ends as things are."""
    position, heard, whole = BEGIN, list[Alert](), list[Alert]()
    for minute, (key, holds, taken) in enumerate(events, start=1):
        whole.append(fires(key, minute) if holds else ends(key, minute))
        batch = box(whole, position).owed[:taken]
        heard += batch
        position = box(whole, position).after(batch, later(minute), whole=True)
    heard += box(whole, position).owed
    for key in "ab":
        states = [a.state for a in heard if a.key == key]
        expected = [s for s, _ in groupby(a.state for a in whole if a.key == key)]
        assert states == (expected[1:] if expected[:1] == ["resolved"] else expected)


def keys(alerts: Sequence[Alert]) -> list[str]:
    return [a.key for a in alerts]


@given(
    st.lists(st.floats(0.1, 60, allow_nan=False), max_size=30),
    st.lists(st.tuples(st.floats(0, 60), st.integers(0, 5)), max_size=12),
)
def test_every_alert_is_delivered_once_in_order_however_the_channel_fails(
    minutes: list[float], rounds: list[tuple[float, int]]
) -> None:
    """Each round reads what has happened by then, and delivers only so many; the last two deliver all."""
    whole = [alert(str(i), m) for i, m in enumerate(minutes)]
    position, delivered = BEGIN, list[Alert]()
    for moment, taken in [*sorted(rounds), (61, 99), (62, 99)]:
        visible = [a for a in whole if position.since < a.happened_at <= later(moment)]
        outbox = box(visible, position)
        batch = outbox.owed[:taken]
        delivered += batch
        position = outbox.after(batch, later(moment), whole=True)
    assert delivered == sorted(whole, key=lambda a: (a.happened_at, a.id))
    assert all(at > position.after - OVERLAP for at in position.sent.values())


@given(
    instants,
    instants,
    st.dictionaries(st.text(max_size=5), instants, max_size=3),
    st.text(max_size=9),
    st.sampled_from(["info", "critical"]),
)
def test_a_cursor_reads_back(
    start: datetime, after: datetime, sent: dict[str, datetime], text: str, severity: Severity
) -> None:
    opened = fires(
        "k", 3, text=text, title=text, severity=severity, runbook="r", link="l", run="7", episode="2"
    )
    positions = {
        "log": Position(
            start,
            after,
            sent,
            Watched("2024", 7, (("performance", "2023", 5),)),
            after,
            {"k": Open(opened, after)},
        ),
        "webhook A": Position(start, after),
    }
    assert read_cursor(write_cursor(positions)) == positions


def test_a_cursor_stays_small_however_much_is_open() -> None:
    many = {str(n): Open(fires(str(n), text="x" * 700), START) for n in range(MOST_OPEN)}
    text = write_cursor({"log": replace(BEGIN, open=many)})
    read = read_cursor(text)
    assert len(text) < 50_000 and read is not None and len(read["log"].open) == MOST_OPEN
    assert read["log"].open["0"].reminder.text.endswith("xx…")


def test_a_cursor_of_the_first_schema_is_read() -> None:
    instant = START.isoformat()
    old = {
        "start": instant,
        "after": instant,
        "sent": {"a": instant},
        "watched": ["2024", 7, 3],
        "wait": None,
    }
    read = read_cursor(json.dumps({"schema": 1, "channels": {"log": old}}))
    assert read == {"log": Position(START, START, {"a": START}, Watched("2024", 7))}


@pytest.mark.parametrize("text", [None, ""])
def test_no_cursor_is_empty(text: str | None) -> None:
    assert read_cursor(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "3",
        "[]",
        "{}",
        '{"schema": 3, "channels": {}}',
        write_cursor({"log": replace(BEGIN, open={"a": Open(fires(), START)})}).replace("error", "awful"),
        '{"schema": 1, "channels": 3}',
        '{"schema": 1, "channels": {"log": {}}}',
        write_cursor({"log": BEGIN}).replace('["",0,[]]', '["",{},[]]'),
        write_cursor({"log": BEGIN}).replace("2024", "year"),
    ],
)
def test_a_damaged_cursor_is_none(text: str) -> None:
    assert read_cursor(text) is None


# -- side by side --------------------------------------------------------------------------------------------------


class Fake:
    """Takes a message, or does something else."""

    def __init__(self, otherwise: Callable[[], None] | None = None) -> None:
        self.took: list[str] = []
        self.otherwise = otherwise

    def __call__(self) -> Carrier:
        return self

    def deliver(self, alerts: Sequence[Alert], patience: float) -> None:
        assert patience > 0
        if self.otherwise is not None:
            self.otherwise()
        self.took += [a.id for a in alerts]


def raising() -> None:
    raise NotDeliveredError("it answered 503", fix="Wait.", retry_after=7)


def test_a_channel_takes_all_or_none_and_holds_up_no_other() -> None:
    alerts = [alert(n, m) for m, n in enumerate("abcd")]
    over = threading.Event()
    down, hangs, fine = Fake(raising), Fake(lambda: over.wait(60) and None), Fake()
    made = deliver({"down": (down, alerts), "hangs": (hangs, alerts), "fine": (fine, alerts)}, 0.3)
    assert made["down"].delivered == [] and made["down"].problem == "it answered 503. Wait."
    assert made["down"].retry_after == 7
    assert made["hangs"].delivered == [] and "did not end within 0.3 s" in made["hangs"].problem
    assert ids(made["fine"].delivered) == ["a", "b", "c", "d"] and made["fine"].problem == ""
    over.set()
    for thread in threading.enumerate():
        if thread.name == "hangs":
            thread.join(10)
    # What it took too late does not count.
    assert made["hangs"].delivered == [] and len(hangs.took) == 4
