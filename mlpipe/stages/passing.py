"""Which faults of a source may pass: a connection, a time-out, a busy server, a limit on the rate of requests.

Errors of packages that need not be installed are known by the names of their classes, so that none is imported for it.
"""

import errno
import math
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, IncompleteRead
from typing import Any

from mlpipe.errors import Finding, TransientError

LONGEST_WAIT = timedelta(minutes=10)
"""A source that asks to be left alone for longer is asked again after this: a step holds its run while it waits."""
FIX = (
    "It may pass: the step is tried again, as often as 'retries' allows. "
    "If it goes on, see whether the source answers, and run these partitions again."
)
NETWORK = frozenset(
    getattr(errno, name)
    for name in (
        *("EAGAIN", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN"),
        *(
            "ENETRESET",
            "ENETUNREACH",
            "ENOBUFS",
            "ENOTCONN",
            "EPIPE",
            "EREMOTEIO",
            "ESHUTDOWN",
            "ESTALE",
            "ETIMEDOUT",
        ),
    )
    if hasattr(errno, name)
)
"""Numbers of an `OSError` that a network or a remote disk is to blame for."""
PASSING_STATUS = (408, 425, 429)
CLASSES: Mapping[str, frozenset[str]] = {
    "requests": frozenset({"ConnectionError", "Timeout", "ChunkedEncodingError"}),
    "urllib3": frozenset({"TimeoutError", "ProtocolError", "NewConnectionError", "MaxRetryError"}),
    "httpx": frozenset({"TimeoutException", "NetworkError", "RemoteProtocolError"}),
    "aiohttp": frozenset({"ClientConnectionError", "ClientPayloadError"}),
    "botocore": frozenset({"ConnectionError", "HTTPClientError", "ConnectTimeoutError", "ReadTimeoutError"}),
    "sqlalchemy": frozenset({"TimeoutError", "DisconnectionError"}),
}
"""Classes of errors that may pass, by package; with their subclasses."""
THROTTLED = frozenset(
    {
        *(
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
        ),
        *("TooManyRequestsException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"),
        *("BandwidthLimitExceeded", "SlowDown", "PriorRequestNotComplete", "EC2ThrottledException"),
        *("RequestTimeout", "RequestTimeoutException", "InternalError", "ServiceUnavailable"),
    }
)
"""Codes of AWS and of servers that speak like it."""
SQLITE_PASSES = ("locked", "busy", "unable to open")


class AskedToWaitError(TransientError):
    """A source asked to be left alone for a while; `retry_after` is how long, in seconds, at most `LONGEST_WAIT`."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        fix: str = "",
        findings: tuple[Finding, ...] = (),
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(what, where=where, fix=fix, findings=findings)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Passing:
    """Why an error may pass, and after how many seconds to ask again; None where the source said nothing about it."""

    error: BaseException
    retry_after: float | None = None

    def raised(self, what: str, where: str) -> TransientError:
        """The error to raise for it."""
        if self.retry_after is None:
            return TransientError(what, where=where, fix=FIX)
        asked = f"{what} (it asked to be left alone for {self.retry_after:g} s)"
        return AskedToWaitError(asked, where=where, fix=FIX, retry_after=self.retry_after)


def passing(error: BaseException) -> Passing | None:
    """Whether an error, or what it was raised from, may pass by itself; None when it will not."""
    for each in _causes(error):
        status = _status(each)
        asked = _asked(each)
        if status is not None and not (status in PASSING_STATUS or status >= 500) and not _throttled(each):
            return None  # the source answered, and will answer the same again
        if status is not None or asked is not None or _throttled(each) or _connection(each):
            return Passing(each, asked)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it names as its cause, outermost first."""
    seen: set[int] = set()
    at: Any = error
    while isinstance(at, BaseException) and id(at) not in seen:
        seen.add(id(at))
        yield at
        reason = getattr(at, "reason", None)  # of urllib's URLError
        at = at.__cause__ or (reason if isinstance(reason, BaseException) else None)


def _connection(error: BaseException) -> bool:
    if isinstance(error, (ConnectionError, TimeoutError, socket.gaierror, IncompleteRead, BadStatusLine)):
        return True
    if isinstance(error, OSError) and error.errno in NETWORK:
        return True
    if getattr(error, "connection_invalidated", False):
        return True
    names = {(c.__module__.partition(".")[0], c.__name__) for c in type(error).__mro__}
    if any(name == "OperationalError" for _, name in names):
        return _database(error)
    return any(name in CLASSES.get(package, ()) for package, name in names)


def _database(error: BaseException) -> bool:
    """SQLite calls everything operational: a name that does not exist, and a lock that will pass."""
    orig = getattr(error, "orig", None) or error
    lite = any(c.__module__.partition(".")[0] == "sqlite3" for c in type(orig).__mro__)
    return not lite or any(w in str(orig).lower() for w in SQLITE_PASSES)


def _response(error: BaseException) -> Any:
    return getattr(error, "response", None)


def _status(error: BaseException) -> int | None:
    """Status of HTTP that an error carries, whichever client raised it."""
    response = _response(error)
    if isinstance(response, Mapping):
        found = _within(response, "ResponseMetadata", "HTTPStatusCode")
    else:
        found = getattr(response, "status_code", None)
    for value in (found, getattr(error, "code", None), getattr(error, "status", None)):
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return int(value)
    return None


def _throttled(error: BaseException) -> bool:
    response = _response(error)
    return isinstance(response, Mapping) and _within(response, "Error", "Code") in THROTTLED


def _within(response: Mapping[str, Any], *keys: str) -> Any:
    at: Any = response
    for key in keys:
        at = at.get(key) if isinstance(at, Mapping) else None
    return at


def _asked(error: BaseException) -> float | None:
    """Seconds to wait that an error carries: as `retry_after`, or in the header ``Retry-After`` of the answer."""
    own = _seconds(getattr(error, "retry_after", None))
    if own is not None:
        return own
    response = _response(error)
    headers = (
        _within(response, "ResponseMetadata", "HTTPHeaders")
        if isinstance(response, Mapping)
        else getattr(response, "headers", None) or getattr(error, "headers", None)
    )
    if headers is None or not hasattr(headers, "items"):
        return None
    known = {str(k).lower(): str(v) for k, v in headers.items()}
    return _seconds(known.get("retry-after"), known.get("date"))


def _seconds(value: Any, answered: str | None = None) -> float | None:
    """Seconds of a number, a text, or a date, which is read against the date of the answer: no clock of ours has to be right."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    with suppress(TypeError, ValueError, OverflowError):
        return _bounded(float(value))
    with suppress(TypeError, ValueError, AttributeError):
        until, since = parsedate_to_datetime(value), parsedate_to_datetime(answered or "")
        return _bounded((until - since).total_seconds())
    return None


def _bounded(seconds: float) -> float | None:
    return min(max(seconds, 0.0), LONGEST_WAIT.total_seconds()) if math.isfinite(seconds) else None
