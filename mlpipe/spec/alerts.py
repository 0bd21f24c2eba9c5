"""Who hears of what happened: the channels of a pipeline, and the kinds of alerts that each wants."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mlpipe.spec.nodes import Duration, KeyPath, Node, Wrong, duration_text, listed, one_of

KINDS = {
    "failed": "a run of one of the pipeline's jobs failed",
    "invalid": "a partition failed its contract",
    "drift": "watched features began to drift, or no longer do",
    "retrain": "a retraining was started by the policy",
    "promoted": "a version became champion, also by override",
    "refused": "a version was not promoted",
    "rolled_back": "an earlier champion is champion again",
    "acknowledged": "a rollback was acknowledged, so promotion is automatic again",
}
"""Kinds of alerts, and when each is sent."""
CHANNEL = re.compile(r"[a-z_]{1,30}")
"""What a channel may be called."""
LONGEST_TIMEOUT = timedelta(seconds=30)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)

Kind = Annotated[str, one_of("kind of alert", lambda: tuple(KINDS))]


def _kinds(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("'on' is empty, so nothing would be sent; leave it out for all kinds")
    return value


# Messages of this module never show what was written: it may be an address that holds a secret, at the wrong place.
def _variable(value: object) -> object:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError(
            "must be the name of an environment variable, such as SLACK_URL; the address itself is a secret"
        )
    return value


def _timeout(value: timedelta) -> timedelta:
    if not timedelta(0) < value <= LONGEST_TIMEOUT:
        raise ValueError(f"must lie above 0s and at most at {duration_text(LONGEST_TIMEOUT)}")
    return value


Variable = Annotated[str, BeforeValidator(_variable)]


class Channel(Node):
    """What all channels have in common."""

    on: Annotated[tuple[Kind, ...], BeforeValidator(listed), AfterValidator(_kinds)] = Field(
        default=tuple(KINDS), description="kinds of alerts that are sent; default: all"
    )
    replays: bool = Field(
        default=False, description="also what replays, backfills and experiments do, not only what is live"
    )

    @property
    def name(self) -> str:
        """What the channel is called in logs and cursors; never a secret."""
        return str(vars(self)["type"])


class LogChannel(Channel):
    """One line an alert in the Python log ``mlpipe.alerts``."""

    type: Literal["log"] = "log"


class WebhookChannel(Channel):
    """A POST of JSON an alert; its ``text`` is what Slack and those that are compatible show."""

    type: Literal["webhook"] = "webhook"
    url_env: Variable = Field(description="environment variable that holds the address, http or https")
    secret_env: Variable | None = Field(
        default=None, description="environment variable that holds the key of the signature (HMAC-SHA256)"
    )
    timeout: Annotated[Duration, AfterValidator(_timeout)] = Field(
        default="5s", validate_default=True, description="longest wait for an answer; at most 30s"
    )

    @property
    def name(self) -> str:
        return f"webhook {self.url_env}"


def _shape(value: object) -> object:
    named = (
        isinstance(value, dict) and isinstance(value.get("type"), str) and CHANNEL.fullmatch(value["type"])
    )
    if isinstance(value, Node) or named:
        return value
    raise ValueError(
        "a channel is its name, such as log, or its name with settings below it, such as {webhook: {url_env: SLACK_URL}}"
    )


AnyChannel = Annotated[LogChannel | WebhookChannel, Field(discriminator="type"), BeforeValidator(_shape)]


def _distinct(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    names = [c.name for c in channels]
    twice: list[tuple[KeyPath, str]] = [
        ((i,), f"the channel '{n}' stands twice; write all its kinds into one 'on'")
        for i, n in enumerate(names)
        if n in names[:i]
    ]
    if twice:
        raise Wrong(*twice)
    return channels


Channels = Annotated[tuple[AnyChannel, ...], BeforeValidator(listed), AfterValidator(_distinct)]
