"""What each channel is owed, whatever fails and in whatever pieces it is read."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.notify.alert import Alert
from mlpipe.notify.channel import Carrier, NotDeliveredError
from mlpipe.notify.outbox import OVERLAP, Outbox, Position, deliver, read_cursor, write_cursor
from mlpipe.notify.verdicts import Watched, followed
from mlpipe.spec.alerts import LogChannel
from mlpipe_tests.notify.receiver import START, alert, seen
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
    found = tuple(s.alert for s in steps if s.alert is not None)
    outbox = Outbox(LogChannel(), BEGIN, found, steps)
    assert [a.partition for a in outbox.owed] == ["2024-01-02", "2024-01-04"]
    down = outbox.after([], later(60), whole=True)
    assert [s.alert for s in followed(spec, days, down.watched) if s.alert] == list(found)
    half = outbox.after(outbox.owed[:1], later(60), whole=True)
    assert [s.alert for s in followed(spec, days, half.watched) if s.alert] == [found[1]]
    done = outbox.after(outbox.owed, later(60), whole=True)
    assert done.watched == steps[-1].after
    unwanted = Outbox(LogChannel(on=["failed"]), BEGIN, found, steps).after([], later(60), whole=True)
    assert unwanted.watched == steps[-1].after and unwanted.after == later(60)


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


@given(instants, instants, st.dictionaries(st.text(max_size=5), instants, max_size=3), st.integers(1, 9))
def test_a_cursor_reads_back(
    start: datetime, after: datetime, sent: dict[str, datetime], version: int
) -> None:
    positions = {
        "log": Position(start, after, sent, Watched("2024", 7, version), after),
        "webhook A": Position(start, after),
    }
    assert read_cursor(write_cursor(positions)) == positions


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
        '{"schema": 2, "channels": {}}',
        '{"schema": 1, "channels": 3}',
        '{"schema": 1, "channels": {"log": {}}}',
        write_cursor({"log": BEGIN}).replace('""', '"",1'),
        write_cursor({"log": BEGIN}).replace("2024", "year"),
    ],
)
def test_a_damaged_cursor_is_none(text: str) -> None:
    assert read_cursor(text) is None


# -- side by side --------------------------------------------------------------------------------------------------


class Fake:
    """Takes what it is given, up to a point, and then does something else."""

    def __init__(self, most: int = 99, otherwise: Callable[[], None] = lambda: None) -> None:
        self.took: list[str] = []
        self.most, self.otherwise = most, otherwise

    def __call__(self) -> Carrier:
        return self

    def deliver(self, alert: Alert, patience: float) -> None:
        assert patience > 0
        if len(self.took) == self.most:
            self.otherwise()
        self.took.append(alert.id)


def raising() -> None:
    raise NotDeliveredError("it answered 503", fix="Wait.", retry_after=7)


def test_a_channel_stops_at_the_first_alert_that_it_does_not_take_and_holds_up_no_other() -> None:
    alerts = [alert(n, m) for m, n in enumerate("abcd")]
    down, over, fine = Fake(2, raising), threading.Event(), Fake()
    hangs = Fake(1, lambda: over.wait(60) and None)
    made = deliver({"down": (down, alerts), "hangs": (hangs, alerts), "fine": (fine, alerts)}, 0.3)
    assert ids(made["down"].delivered) == ["a", "b"] and made["down"].problem == "it answered 503. Wait."
    assert made["down"].retry_after == 7
    assert ids(made["hangs"].delivered) == ["a"] and "did not end within 0.3 s" in made["hangs"].problem
    assert ids(made["fine"].delivered) == ["a", "b", "c", "d"] and made["fine"].problem == ""
    over.set()
    for thread in threading.enumerate():
        if thread.name == "hangs":
            thread.join(10)
    # What it took too late does not count, and nothing came after it.
    assert ids(made["hangs"].delivered) == ["a"] and len(hangs.took) == 2
