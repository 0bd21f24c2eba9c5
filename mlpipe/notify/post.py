"""A POST to an address that is a secret and stays in the environment: tried again when that may help, redirects not followed."""

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from mlpipe.notify.channel import NotDeliveredError
from mlpipe.spec.alerts import SlackChannel, WebhookChannel

TRIES = 3
FIRST_PAUSE = 0.5
"""Seconds before the second try; before the third twice as many. Half of each is chance, so that many do not come back at once."""
LONGEST_ASKED = 3600.0
"""A receiver may ask to be left alone for so many seconds; more is taken for a mistake."""


@dataclass(frozen=True)
class _Failure:
    what: str
    again: bool
    asked: float | None = None


class _NoRedirect(HTTPRedirectHandler):
    """An address that was checked must not lead to one that was not."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def variable(environment: Mapping[str, str], name: str, where: str) -> str:
    """Value of an environment variable.

    Raises
    ------
    NotDeliveredError
        When it is not set.
    """
    value = environment.get(name, "").strip()
    if not value:
        raise NotDeliveredError(
            f"the variable {name} is not set", where=where, fix="Set it where the code location runs."
        )
    return value


@dataclass(frozen=True)
class Post:
    """Posts to the address in an environment variable.

    A connection that fails, an answer of 429 or of 500 and above is tried again, `TRIES` times in all, after the pause that the
    receiver asks for (``Retry-After``) or one that doubles. Any other answer that is no success is final; redirects are not followed.

    Parameters
    ----------
    name
        What the channel is called in errors.
    url_env
        Name of the variable.
    timeout
        Longest wait for an answer.
    environment, pause, chance
        For tests: where variables are read, how to wait some seconds, and a number in [0, 1).
    """

    name: str
    url_env: str
    timeout: timedelta
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    pause: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def send(self, body: bytes, headers: Mapping[str, str], patience: float) -> None:
        """POST, in at most about `patience` seconds.

        Raises
        ------
        NotDeliveredError
            Says what the receiver answered, or why it could not be asked; never the address.
        """
        until = time.monotonic() + patience
        address = self._address()
        for attempt in range(1, TRIES + 1):
            failure = self._sent(address, body, headers, until - time.monotonic())
            if failure is None:
                return
            backoff = FIRST_PAUSE * 2 ** (attempt - 1) * (0.5 + self.chance() / 2)
            wait = backoff if failure.asked is None else failure.asked
            over = attempt == TRIES or time.monotonic() + wait >= until
            if not failure.again or over:
                tries = f" ({attempt} of {TRIES} tries)" if failure.again else ""
                raise NotDeliveredError(
                    f"{failure.what}{tries}", where=self.name, retry_after=failure.asked or 0.0
                )
            self.pause(wait)

    def _sent(self, address: str, body: bytes, headers: Mapping[str, str], left: float) -> _Failure | None:
        """One try; None when the receiver took it."""
        timeout = min(self.timeout.total_seconds(), left)
        if timeout <= 0:
            return _Failure("no time was left to ask it", again=True)
        try:
            request = Request(address, data=body, headers={"User-Agent": "mlpipe", **headers}, method="POST")
            with build_opener(_NoRedirect).open(request, timeout=timeout):
                return None
        except HTTPError as error:
            with error:
                return _answered(error.code, error.headers.get("Retry-After"))
        except (OSError, HTTPException, ValueError) as error:
            # Only its kind is told: the message of some of these quotes the address.
            return _Failure(_unanswered(error, timeout), again=not isinstance(error, ValueError))

    def _address(self) -> str:
        value = variable(self.environment, self.url_env, self.name)
        try:
            parts = urlsplit(value)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            fine = False
        if not fine or not value.isascii() or not value.isprintable() or " " in value or "@" in parts.netloc:
            raise NotDeliveredError(
                f"the variable {self.url_env} holds no address",
                where=self.name,
                fix="Give https://… or http://…, without a user or a password.",
            )
        return value


def _answered(status: int, retry_after: str | None) -> _Failure:
    if 300 <= status < 400:
        return _Failure(f"it answered {status}, a redirect, which is not followed", again=False)
    again = status == 429 or status >= 500
    return _Failure(f"it answered {status}", again, _seconds(retry_after) if again else None)


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a ``Retry-After``, which is a number or a date; None without a sensible one."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdecimal():
            return min(float(retry_after), LONGEST_ASKED)
        then = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return min(max((then - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_ASKED)


def _unanswered(error: Exception, timeout: float) -> str:
    behind = error.reason if isinstance(error, URLError) else error
    if isinstance(behind, TimeoutError):
        return f"no answer within {timeout:.3g} s"
    if isinstance(behind, ConnectionError) and behind.errno:
        return f"no connection: {os.strerror(behind.errno)}"
    return f"no connection: {type(behind).__name__}"


@dataclass(frozen=True)
class Poster:
    """What delivers a channel's messages by POST as JSON; see `Post` for what is tried again.

    Parameters
    ----------
    settings
        The declared channel.
    environment, pause, chance
        For tests, as there.
    """

    settings: SlackChannel | WebhookChannel
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    pause: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def post(self, message: Mapping[str, Any], patience: float) -> None:
        """POST one message, with the headers that the channel signs it with.

        Raises
        ------
        NotDeliveredError
            Says what the receiver answered, or why it could not be asked; never the address.
        """
        at = self.settings
        body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        post = Post(at.name, at.url_env, at.timeout, self.environment, self.pause, self.chance)
        post.send(body, {"Content-Type": "application/json; charset=utf-8"} | self.signed(body), patience)

    def signed(self, body: bytes) -> dict[str, str]:
        """Headers that say who sent a body; none where a channel has no key."""
        return {}
