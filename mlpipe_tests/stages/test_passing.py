"""Which faults of a source may pass, whoever raised them, and how long they ask to be left alone."""

import errno
import io
import pickle
import socket
import sqlite3
import ssl
from datetime import timedelta
from email.message import Message
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.errors import MlpipeError, TransientError
from mlpipe.stages.passing import LONGEST_WAIT, AskedToWaitError, passing


def answered(status: int, **headers: str) -> HTTPError:
    """What urllib raises for an answer that is no success."""
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return HTTPError("http://shop/orders", status, "no", message, io.BytesIO())


def wrapped(cause: BaseException) -> Exception:
    error = RuntimeError("no orders came")
    error.__cause__ = cause
    return error


class RateLimitedError(Exception):
    """An error of somebody's client, that says when to come again."""

    def __init__(self, retry_after: Any) -> None:
        super().__init__("slow down")
        self.retry_after = retry_after


PASS = {
    "refused": ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    "reset": ConnectionResetError(),
    "time-out": TimeoutError("no answer"),
    "no route": OSError(errno.EHOSTUNREACH, "no route to host"),
    "stale": OSError(errno.ESTALE, "stale file handle"),
    "name": socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution"),
    "url": URLError(TimeoutError()),
    "hung up": RemoteDisconnected("gone"),
    "cut": IncompleteRead(b"half"),
    "500": answered(500),
    "503": answered(503),
    "429": answered(429),
    "pool": sa.exc.TimeoutError("pool"),
    "operational": sa.exc.OperationalError("select 1", {}, Exception("server closed the connection")),
    "lite": sqlite3.OperationalError("database is locked"),
    "lite, wrapped": sa.exc.OperationalError("select 1", {}, sqlite3.OperationalError("database is locked")),
    "cause": wrapped(ConnectionError("gone")),
    "cause of a cause": wrapped(wrapped(answered(502))),
    "limited": RateLimitedError(3),
}
STAY = {
    "mistake": ValueError("no such column"),
    "missing": FileNotFoundError(errno.ENOENT, "no such file"),
    "denied": PermissionError(errno.EACCES, "permission denied"),
    "full": OSError(errno.ENOSPC, "no space left"),
    "certificate": ssl.SSLCertVerificationError(1, "self-signed certificate"),
    "url": URLError("unknown url type"),
    "404": answered(404),
    "401": answered(401),
    "no table": sqlite3.OperationalError("no such table: orders"),
    "no table, wrapped": sa.exc.OperationalError("x", {}, sqlite3.OperationalError("no such table: orders")),
    "syntax": sa.exc.ProgrammingError("selec 1", {}, Exception("syntax error")),
    "cause": wrapped(KeyError("size")),
    "limited, not said": RateLimitedError(None),
    "limited, nonsense": RateLimitedError("soon"),
    "limited, nan": RateLimitedError(float("nan")),
}


@pytest.mark.parametrize("name", PASS)
def test_what_may_pass(name: str) -> None:
    assert passing(PASS[name]) is not None


@pytest.mark.parametrize("name", STAY)
def test_what_will_not(name: str) -> None:
    assert passing(STAY[name]) is None


def test_errors_of_requests() -> None:
    requests = pytest.importorskip("requests")

    def of(status: int) -> Exception:
        response = requests.Response()
        response.status_code, response.headers["Retry-After"] = status, "7"
        return requests.HTTPError("no", response=response)

    for error in (
        requests.ConnectionError("gone"),
        requests.ReadTimeout(),
        requests.exceptions.ChunkedEncodingError(),
    ):
        assert passing(error) is not None, error
    assert passing(requests.exceptions.MissingSchema("no scheme")) is None and passing(of(404)) is None
    found = passing(of(503))
    assert found is not None and found.retry_after == 7


def test_errors_of_httpx() -> None:
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("GET", "http://shop")
    for error in (httpx.ConnectError("gone"), httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut")):
        assert passing(error) is not None, error
    assert passing(httpx.UnsupportedProtocol("ftp")) is None
    busy = httpx.HTTPStatusError(
        "no", request=request, response=httpx.Response(429, headers={"Retry-After": "7"})
    )
    found = passing(busy)
    assert found is not None and found.retry_after == 7


def test_errors_of_botocore() -> None:
    exceptions = pytest.importorskip("botocore.exceptions")

    def of(code: str, status: int, **headers: str) -> Exception:
        told = {"HTTPStatusCode": status, "HTTPHeaders": headers}
        made: Exception = exceptions.ClientError(
            {"Error": {"Code": code}, "ResponseMetadata": told}, "GetObject"
        )
        return made

    assert passing(of("ThrottlingException", 400)) is not None and passing(of("SlowDown", 503)) is not None
    assert passing(of("NoSuchKey", 404)) is None and passing(of("AccessDenied", 403)) is None
    assert passing(exceptions.EndpointConnectionError(endpoint_url="http://s3")) is not None
    assert passing(exceptions.ReadTimeoutError(endpoint_url="http://s3")) is not None
    assert passing(exceptions.NoCredentialsError()) is None
    found = passing(of("Throttling", 400, **{"retry-after": "7"}))
    assert found is not None and found.retry_after == 7


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (answered(429, Retry_After="7"), 7),
        (answered(503, Retry_After="0"), 0),
        (answered(503, Retry_After="86400"), LONGEST_WAIT.total_seconds()),
        (answered(503, Retry_After="-3"), 0),
        (answered(503, Retry_After="soon"), None),
        (answered(503, Retry_After="inf"), None),
        (answered(503), None),
        # A date is read against the date of the answer, so that no clock of ours has to be right.
        (answered(503, Retry_After="Wed, 21 Oct 2015 07:28:30 GMT", Date=DATE), 30),
        (answered(503, Retry_After=DATE), None),
        (RateLimitedError(2.5), 2.5),
        (RateLimitedError("4"), 4),
        (RateLimitedError(timedelta(minutes=1)), 60),
        (wrapped(RateLimitedError(5)), 5),
        (ConnectionError("gone"), None),
    ],
)
def test_how_long_it_asks_to_be_left_alone(error: Exception, seconds: float | None) -> None:
    found = passing(error)
    assert found is not None and found.retry_after == seconds


@given(st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.binary(), st.lists(st.integers())))
def test_whatever_it_asks_the_wait_is_bounded(value: Any) -> None:
    for error in (
        RateLimitedError(value),
        answered(429, Retry_After=str(value).encode("ascii", "replace").decode()),
    ):
        found = passing(error)
        assert (
            found is None
            or found.retry_after is None
            or 0 <= found.retry_after <= LONGEST_WAIT.total_seconds()
        )


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert passing(one) is None


def test_the_error_says_what_where_and_what_to_do() -> None:
    plain = passing(ConnectionError("gone"))
    asked = passing(answered(429, Retry_After="7"))
    assert plain is not None and asked is not None
    made = plain.raised("orders failed: gone", "source rows")
    assert (
        type(made) is TransientError
        and "retries" in made.fix
        and str(made).startswith("source rows: orders failed")
    )
    waiting = asked.raised("orders failed", "source rows")
    assert isinstance(waiting, AskedToWaitError) and waiting.retry_after == 7
    assert "it asked to be left alone for 7 s" in str(waiting)
    assert isinstance(pickle.loads(pickle.dumps(waiting)), MlpipeError)
