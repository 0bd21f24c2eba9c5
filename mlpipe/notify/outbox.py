"""What each channel has been told and what it is still owed: at least once, in order of time, each channel at its own pace."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from mlpipe.notify.alert import Alert, one_line
from mlpipe.notify.channel import Carrier, NotDeliveredError
from mlpipe.notify.verdicts import Step, Watched
from mlpipe.spec.alerts import SEVERITIES, Channel

OVERLAP = timedelta(minutes=15)
"""The last minutes are always read again: clocks differ between machines, and what was written first may show last."""
MOST = 20
"""At most this many alerts a channel and round: they are one message."""
LET_GO = timedelta(days=30)
"""A failed run or partition that nobody made good in so long is reminded of no more."""
MOST_OPEN = 50
"""Of so many conditions a channel remembers that they are open; beyond, those that opened first are let go."""
REMEMBERED = 300
"""Characters of an open alert's text that are kept for its reminder: Dagster stores the cursor with every tick."""
SCHEMA, READ = 2, (1, 2)
_KEPT = (
    "id",
    "kind",
    "severity",
    "pipeline",
    "deployment",
    "partition",
    "title",
    "text",
    "run",
    "link",
    "key",
    "episode",
    "runbook",
)


@dataclass(frozen=True)
class Open:
    """A condition that a channel was told of and that is not resolved: its alert, and when it was told last."""

    alert: Alert
    told: datetime

    @property
    def reminder(self) -> Alert:
        """The alert once more. Its id changes with each time that it is told, so that no receiver takes it for a second copy."""
        old = self.alert
        since = f"Open since {old.happened_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: "
        return replace(
            old,
            id=f"{old.id}:again:{int(self.told.timestamp())}",
            title=one_line(f"Still open: {old.title}"),
            text=one_line(since + old.text),
        )


@dataclass(frozen=True)
class Position:
    """How far a channel was told.

    `start`: what happened before is never sent. `after`: all before has been sent. `sent`: ids of the last minutes with their time.
    `watched`: how far monitoring was followed. `wait`: the receiver asked to be left alone until then. `open`: by key, what it was told
    of and is not resolved.
    """

    start: datetime
    after: datetime
    sent: Mapping[str, datetime] = field(default_factory=dict, hash=False)
    watched: Watched = Watched()
    wait: datetime | None = None
    open: Mapping[str, Open] = field(default_factory=dict, hash=False)

    @property
    def since(self) -> datetime:
        """From when on everything must be looked at."""
        return max(self.start, self.after - OVERLAP)


def write_cursor(positions: Mapping[str, Position]) -> str:
    """Positions by channel as text: names, times and ids, and the words of what is open; no secret."""
    channels = {
        name: {
            "start": p.start.isoformat(),
            "after": p.after.isoformat(),
            "sent": {i: at.isoformat() for i, at in p.sent.items()},
            "watched": list(p.watched),
            "wait": None if p.wait is None else p.wait.isoformat(),
            "open": [_plain(o) for o in p.open.values()],
        }
        for name, p in positions.items()
    }
    body = {"schema": SCHEMA, "channels": channels}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def _plain(open_: Open) -> dict[str, Any]:
    known = {n: getattr(open_.alert, n) for n in _KEPT}
    if len(known["text"]) > REMEMBERED:
        known["text"] = known["text"][: REMEMBERED - 1] + "…"
    return known | {"at": open_.alert.happened_at.isoformat(), "told": open_.told.isoformat()}


def read_cursor(text: str | None) -> dict[str, Position] | None:
    """Positions of a cursor; None when it cannot be read: somebody edited it, or another version of mlpipe wrote it."""
    if not text:
        return {}
    try:
        body = json.loads(text)
        if body["schema"] not in READ:
            return None
        return {name: _position(plain) for name, plain in body["channels"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _position(plain: Mapping[str, object]) -> Position:
    sent, watched, opened = plain["sent"], plain["watched"], plain.get("open", [])
    if not isinstance(sent, dict) or not isinstance(watched, list) or not isinstance(opened, list):
        raise TypeError("sent, watched or open")
    # The first schema also had the champion whose drift was open: it is told once more, now as an alert that will be resolved.
    start, event, *rest = watched
    spoken = rest[0] if rest and isinstance(rest[0], list) else []
    return Position(
        start=_instant(plain["start"]),
        after=_instant(plain["after"]),
        sent={i: _instant(at) for i, at in sent.items()},
        watched=Watched(str(start), int(event), tuple((str(k), str(s), int(e)) for k, s, e in spoken)),
        wait=None if plain["wait"] is None else _instant(plain["wait"]),
        open={o.alert.key: o for o in map(_opened, opened)},
    )


def _opened(plain: Mapping[str, str]) -> Open:
    words: dict[str, Any] = {n: str(plain[n]) for n in _KEPT}
    if words["severity"] not in SEVERITIES:
        raise ValueError("severity")
    return Open(Alert(**words, happened_at=_instant(plain["at"]), state="firing"), _instant(plain["told"]))


def _instant(value: object) -> datetime:
    return datetime.fromisoformat(str(value)).astimezone(UTC)


@dataclass(frozen=True)
class Outbox:
    """What a channel is owed: alerts in order of time, of those that it wants, without those that it has.

    `steps` are what was followed of monitoring since its position; their alerts are among `found`. `now`: when the reminders are due.
    """

    channel: Channel
    position: Position
    found: tuple[Alert, ...]
    steps: tuple[Step, ...] = ()
    now: datetime | None = None

    @property
    def owed(self) -> list[Alert]:
        """Alerts still to be sent: news; conditions that fire and were not open, or resolve and were; then reminders."""
        return self._sorted[0]

    @cached_property
    def _sorted(self) -> tuple[list[Alert], list[Alert]]:
        """What is owed; and what says once more that something is open which is known to be."""
        again: list[Alert] = []
        open_ = {key: o.alert for key, o in self.position.open.items()}
        owed = []
        for alert in sorted((a for a in self.found if self._wanted(a)), key=lambda a: (a.happened_at, a.id)):
            was = open_.get(alert.key)
            if alert.state == "resolved":
                # Whatever was told is resolved, however little the channel asks for; a good end of before is none.
                if was is None or alert.happened_at < was.happened_at:
                    continue
                del open_[alert.key]
            elif not self._new(alert):
                continue
            elif alert.state == "firing":
                if was is not None and not _worse(was.episode, alert.episode):
                    again.append(alert)
                    continue
                open_[alert.key] = alert
            owed.append(alert)
        return owed + self._reminders(open_), again

    def _wanted(self, alert: Alert) -> bool:
        fits = alert.kind in self.channel.on and (alert.live or self.channel.replays)
        return fits and alert.id not in self.position.sent

    def _new(self, alert: Alert) -> bool:
        grave = SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.channel.severity)
        return grave and alert.happened_at > self.position.since

    def _reminders(self, open_: Mapping[str, Alert]) -> list[Alert]:
        """What was open before this round and still is, and was not spoken of for as long as the channel asks."""
        pause, now = self.channel.remind, self.now
        if pause is None or now is None:
            return []
        return [
            o.reminder
            for key, o in self.position.open.items()
            if open_.get(key) is o.alert and o.alert.kind in self.channel.on and now - o.told >= pause
        ]

    def after(self, delivered: Sequence[Alert], now: datetime, *, whole: bool) -> Position:
        """Position once the first few of what is owed were delivered.

        Parameters
        ----------
        now
            When everything in `found` began to be read.
        whole
            Whether everything could be read. If not, the position stays, and what was sent is remembered by its id.
        """
        position, left = self.position, self.owed[len(delivered) :]
        done = now if not left else delivered[-1].happened_at if delivered else position.after
        after = max(position.after, done) if whole else position.after
        # What only said once more that something is open must not open it anew when it is read again after the end.
        waiting = {a.key for a in left}
        settled = [*delivered, *(a for a in self._sorted[1] if a.key not in waiting)]
        sent = {**position.sent, **{a.id: a.happened_at for a in settled}}
        kept = {i: at for i, at in sent.items() if at > max(position.start, after - OVERLAP)}
        watched = self._watched({a.id for a in left})
        return replace(position, after=after, sent=kept, watched=watched, open=self._open(delivered, now))

    def _open(self, delivered: Sequence[Alert], now: datetime) -> dict[str, Open]:
        open_ = dict(self.position.open)
        for alert in delivered:
            was = open_.pop(alert.key, None)
            if was is not None and alert.id == was.reminder.id:
                open_[alert.key] = Open(was.alert, now)
            elif alert.state == "firing":
                open_[alert.key] = Open(alert, now)
        kept = {
            key: o
            for key, o in open_.items()
            if o.alert.kind not in ("failed", "invalid") or now - o.alert.happened_at < LET_GO
        }
        newest = sorted(kept, key=lambda k: kept[k].alert.happened_at)[-MOST_OPEN:]
        return {key: kept[key] for key in newest}

    def _watched(self, left: Iterable[str]) -> Watched:
        """Monitoring counts as followed up to the first alert of it that was not delivered."""
        undelivered = set(left)
        waiting = next((s for s in self.steps if any(a.id in undelivered for a in s.alerts)), None)
        if waiting is not None:
            return waiting.before
        return self.steps[-1].after if self.steps else self.position.watched


def _worse(was: str, now: str) -> bool:
    """Whether an episode is news beside the one that is open: another one, or it holds for more than it did. An empty one is none."""
    (before, *held), (after, *holds) = was.split("\n"), now.split("\n")
    return after not in ("", before) or not set(holds) <= set(held)


@dataclass
class Delivery:
    """What became of a channel's round: the alerts that it took, all or none, and why it did not take them."""

    delivered: list[Alert] = field(default_factory=list)
    problem: str = ""
    retry_after: float = 0.0


def deliver(
    batches: Mapping[str, tuple[Callable[[], Carrier], Sequence[Alert]]], patience: float
) -> dict[str, Delivery]:
    """Deliver each channel's alerts as one message, the channels side by side, so that none holds up another.

    One that is not done after `patience` seconds is left behind: what it may still deliver will be sent again.
    """
    until = time.monotonic() + patience
    deliveries = {name: Delivery(problem=f"it did not end within {patience:.3g} s") for name in batches}
    threads = [
        threading.Thread(
            target=_deliver, args=(carrier, list(alerts), deliveries[name], until), daemon=True, name=name
        )
        for name, (carrier, alerts) in batches.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until + 1 - time.monotonic()))
    # A copy: a thread that was left behind may go on with its own.
    return {name: replace(d, delivered=list(d.delivered)) for name, d in deliveries.items()}


def _deliver(
    carrier: Callable[[], Carrier], alerts: Sequence[Alert], delivery: Delivery, until: float
) -> None:
    try:
        carrier().deliver(alerts, until - time.monotonic())
    except NotDeliveredError as error:
        delivery.problem = f"{error.what}. {error.fix}".strip() if error.fix else error.what
        delivery.retry_after = error.retry_after
    else:
        delivery.delivered, delivery.problem = list(alerts), ""
