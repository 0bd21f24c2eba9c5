"""What each channel has been told and what it is still owed: at least once, in order of time, each channel at its own pace."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mlpipe.notify.alert import Alert
from mlpipe.notify.channel import Carrier, NotDeliveredError
from mlpipe.notify.verdicts import Step, Watched
from mlpipe.spec.alerts import Channel

OVERLAP = timedelta(minutes=15)
"""The last minutes are always read again: clocks differ between machines, and what was written first may show last."""
MOST = 20
"""At most this many alerts a channel and round."""
SCHEMA = 1


@dataclass(frozen=True)
class Position:
    """How far a channel was told.

    `start`: what happened before is never sent. `after`: all before has been sent. `sent`: ids of the last minutes with their time.
    `watched`: how far drift was followed. `wait`: the receiver asked to be left alone until then.
    """

    start: datetime
    after: datetime
    sent: Mapping[str, datetime] = field(default_factory=dict, hash=False)
    watched: Watched = Watched()
    wait: datetime | None = None

    @property
    def since(self) -> datetime:
        """From when on everything must be looked at."""
        return max(self.start, self.after - OVERLAP)


def write_cursor(positions: Mapping[str, Position]) -> str:
    """Positions by channel as text; holds names, times and ids, and nothing else."""
    channels = {
        name: {
            "start": p.start.isoformat(),
            "after": p.after.isoformat(),
            "sent": {i: at.isoformat() for i, at in p.sent.items()},
            "watched": list(p.watched),
            "wait": None if p.wait is None else p.wait.isoformat(),
        }
        for name, p in positions.items()
    }
    return json.dumps({"schema": SCHEMA, "channels": channels}, separators=(",", ":"))


def read_cursor(text: str | None) -> dict[str, Position] | None:
    """Positions of a cursor; None when it cannot be read: somebody edited it, or another version of mlpipe wrote it."""
    if not text:
        return {}
    try:
        body = json.loads(text)
        if body["schema"] != SCHEMA:
            return None
        return {name: _position(plain) for name, plain in body["channels"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _position(plain: Mapping[str, object]) -> Position:
    def instant(value: object) -> datetime:
        return datetime.fromisoformat(str(value)).astimezone(UTC)

    sent, watched = plain["sent"], plain["watched"]
    if not isinstance(sent, dict) or not isinstance(watched, list):
        raise TypeError("sent or watched")
    start, event, version = watched
    return Position(
        start=instant(plain["start"]),
        after=instant(plain["after"]),
        sent={i: instant(at) for i, at in sent.items()},
        watched=Watched(str(start), int(event), None if version is None else int(version)),
        wait=None if plain["wait"] is None else instant(plain["wait"]),
    )


@dataclass(frozen=True)
class Outbox:
    """What a channel is owed: alerts in order of time, of those that it wants, without those that it has.

    `steps` are what was followed of drift since its position; their alerts are among `found`.
    """

    channel: Channel
    position: Position
    found: tuple[Alert, ...]
    steps: tuple[Step, ...] = ()

    @property
    def owed(self) -> list[Alert]:
        """Alerts still to be sent."""
        return sorted(
            (
                a
                for a in self.found
                if a.kind in self.channel.on
                and (a.live or self.channel.replays)
                and a.happened_at > self.position.since
                and a.id not in self.position.sent
            ),
            key=lambda a: (a.happened_at, a.id),
        )

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
        sent = {**position.sent, **{a.id: a.happened_at for a in delivered}}
        kept = {i: at for i, at in sent.items() if at > max(position.start, after - OVERLAP)}
        return replace(position, after=after, sent=kept, watched=self._watched({a.id for a in left}))

    def _watched(self, left: Iterable[str]) -> Watched:
        """Drift counts as followed up to the first alert of it that was not delivered."""
        waiting = next((s for s in self.steps if s.alert is not None and s.alert.id in left), None)
        if waiting is not None:
            return waiting.before
        return self.steps[-1].after if self.steps else self.position.watched


@dataclass
class Delivery:
    """What became of a channel's round: the alerts that it took, and why it stopped, if it did."""

    delivered: list[Alert] = field(default_factory=list)
    problem: str = ""
    retry_after: float = 0.0


def deliver(
    batches: Mapping[str, tuple[Callable[[], Carrier], Sequence[Alert]]], patience: float
) -> dict[str, Delivery]:
    """Deliver each channel's alerts in their order, the channels side by side, so that none holds up another.

    A channel stops at the first alert that it does not take. One that is not done after `patience` seconds is left behind: what it
    may still deliver will be sent again.
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
        opened = carrier()
        for alert in alerts:
            left = until - time.monotonic()
            if left <= 0:
                return
            opened.deliver(alert, left)
            delivery.delivered.append(alert)
    except NotDeliveredError as error:
        delivery.problem = f"{error.what}. {error.fix}".strip() if error.fix else error.what
        delivery.retry_after = error.retry_after
    else:
        delivery.problem = ""
