"""A receiver of webhooks on this machine, whose answers a test writes beforehand, and short ways to make alerts and heads."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mlpipe.notify.alert import Alert
from mlpipe.notify.verdicts import Seen
from mlpipe.records.codec import Head

START = datetime(2024, 3, 3, 12, tzinfo=UTC)
SECRET = "T0k3nOfTheHook"
"""Part of the receiver's address that must never show."""


@dataclass(frozen=True)
class Answer:
    """What the receiver says to one request. `hang`: it takes the request and says nothing until the test is over."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False


@dataclass
class Receiver:
    """What came in, and what is answered next; when nothing is left, 200."""

    port: int = 0
    answers: list[Answer] = field(default_factory=list)
    got: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/{SECRET}"

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The alerts of all requests, in order."""
        return [a for _, _, _, body in self.got for a in json.loads(body)["alerts"]]


@contextmanager
def receiver(*answers: Answer) -> Iterator[Receiver]:
    """A receiver that answers so, on a port of its own."""
    made = Receiver(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append((self.command, self.path, dict(self.headers), body))
            answer = made.answers.pop(0) if made.answers else Answer()
            if answer.hang:
                made.over.wait(60)
                return
            self.send_response(answer.status)
            for name, value in {"Content-Length": "0", **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_PUT = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: pytest shows what a test prints."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.over.set()
            server.shutdown()
            thread.join()


def alert(name: str = "a", minute: float = 0, **changes: Any) -> Alert:
    """An alert that happened some minutes after `START`."""
    given: dict[str, Any] = {
        "id": f"failed:{name}",
        "kind": "failed",
        "severity": "error",
        "pipeline": "shop",
        "deployment": "dev",
        "partition": "2024-03-02",
        "title": f"shop_daily failed ({name})",
        "text": "Run 12 failed.",
        "happened_at": START + timedelta(minutes=minute),
    }
    return Alert(**(given | changes))


def fires(name: str = "a", minute: float = 0, **changes: Any) -> Alert:
    """An alert of a condition that holds, by its key."""
    return alert(f"{name}{minute}", minute, **({"key": name, "state": "firing"} | changes))


def ends(name: str = "a", minute: float = 0, **changes: Any) -> Alert:
    """An alert of a condition that no longer holds."""
    given = {"key": name, "state": "resolved", "severity": "info", "title": f"{name} is over"}
    return alert(f"{name}{minute}", minute, **(given | changes))


def seen(
    partition: str,
    verdict: str,
    event: int,
    *,
    asset: str = "monitor",
    trigger: str = "schedule",
    experiment: str = "",
    **data: Any,
) -> Seen:
    """A materialization, by its verdict and its place in the order of events, one a minute."""
    head = Head(
        asset=f"shop/{asset}",
        partition=partition,
        record=f"rec-{event}",
        outputs={},
        verdict=verdict,
        trigger=trigger,
        experiment=experiment,
        data=data,
    )
    return Seen(head, START + timedelta(minutes=event), event, run=f"run-{event}")
