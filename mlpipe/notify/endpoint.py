"""Where Prometheus gets its samples: an HTTP endpoint that it scrapes, and a Pushgateway that they are pushed to."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from mlpipe.errors import MlpipeError
from mlpipe.notify.exposition import CONTENT_TYPE

JOB = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
FRESH = 5.0
"""Seconds for which an answer is given again: several Prometheus servers, or an impatient one, cost no more than one."""
PATIENCE = 10.0
"""Seconds that a Pushgateway may take."""


@dataclass
class Exposed:
    """The text for a scrape, made anew when it is older than `FRESH`. Any thread may ask; one makes it, the others wait."""

    make: Callable[[], str]
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _made: tuple[float, str] | None = None

    def text(self) -> str:
        """The text."""
        with self._lock:
            if self._made is None or self.clock() - self._made[0] >= FRESH:
                self._made = (self.clock(), self.make())
            return self._made[1]


def server(make: Callable[[], str], host: str, port: int, warn: Callable[[str], None]) -> ThreadingHTTPServer:
    """A server of ``/metrics``; call its `serve_forever`. With port 0 it takes a free one.

    Parameters
    ----------
    make
        Gives the text of a scrape. What it raises of mlpipe's errors is told to `warn`, and answered with 500: Prometheus then has the
        target down, rather than old numbers.

    Raises
    ------
    MlpipeError
        It cannot listen there.
    """
    exposed = Exposed(make)

    class Handler(BaseHTTPRequestHandler):
        server_version = "mlpipe"
        timeout = PATIENCE

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/metrics":
                try:
                    self._answer(200, CONTENT_TYPE, exposed.text())
                except (MlpipeError, OSError) as error:
                    warn(f"a scrape was not answered: {error}")
                    self._answer(
                        500,
                        "text/plain; charset=utf-8",
                        "the records cannot be read; see the log of the server\n",
                    )
            elif path == "/":
                self._answer(200, "text/html; charset=utf-8", '<a href="/metrics">metrics of mlpipe</a>\n')
            else:
                self._answer(404, "text/plain; charset=utf-8", "there is /metrics here\n")

        do_HEAD = do_GET

        def _answer(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a line each scrape is noise."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    try:
        return Server((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise MlpipeError(
            f"nothing can listen there: {getattr(error, 'strerror', None) or error}",
            where=f"{host}:{port}",
            fix="Name another one: --port, --host.",
        ) from None


def push(text: str, gateway: str, job: str) -> None:
    """Put samples onto a Pushgateway, in place of what the job put there before.

    Parameters
    ----------
    gateway
        ``http(s)://host[:port][/path]``, without user and password.
    job
        The job under which they stand.

    Raises
    ------
    MlpipeError
        The address or the name is none, or the gateway did not take them.
    """
    if not JOB.fullmatch(job):
        raise MlpipeError(
            f"{job!r} is no name of a job", where="--job", fix="Take letters, digits, '.', '_', ':' and '-'."
        )
    parts = urlsplit(gateway)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise MlpipeError(
            "this is no address of a Pushgateway",
            where="--to",
            fix="Give http(s)://host[:port], such as http://localhost:9091.",
        )
    address = f"{gateway.rstrip('/')}/metrics/job/{job}"
    try:
        request = Request(address, data=text.encode(), headers={"Content-Type": CONTENT_TYPE}, method="PUT")
        with urlopen(request, timeout=PATIENCE):
            return
    except HTTPError as error:
        with error:
            why = f"it answered {error.code}: {' '.join(error.read(300).decode('utf-8', 'replace').split())}"
    except (OSError, HTTPException, ValueError) as error:
        why = str(getattr(error, "reason", error))
    raise MlpipeError(f"the Pushgateway did not take the metrics: {why}", where=gateway) from None
