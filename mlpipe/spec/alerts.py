"""Who hears of what happened: the channels of a pipeline, and the kinds of alerts that each wants."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mlpipe.spec.nodes import Duration, Node, duration_text, listed, once, one_of

KINDS = {
    "failed": "a run of one of the pipeline's jobs failed",
    "invalid": "a partition failed its contract",
    "drift": "watched features began to drift, or no longer do",
    "skew": "served features began to differ from those that training makes of the same rows, or no longer do",
    "performance": "the realised metric fell below what the champion promised by the limit of the policy, or no longer is",
    "level": "a service level is missed or its error budget is exhausted, or it is met again",
    "retrain": "a retraining was started by the policy",
    "promoted": "a version became champion, also by override",
    "refused": "a version was not promoted",
    "rolled_back": "an earlier champion is champion again",
    "acknowledged": "a rollback was acknowledged, so promotion is automatic again",
}
"""Kinds of alerts, and when each is sent."""
CHANNEL = re.compile(r"[a-z_]{1,30}")
"""What a channel may be called."""
Severity = Literal["info", "warning", "error", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The least first."""
Security = Literal["starttls", "tls", "none"]
PORTS: Mapping[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
LONGEST_TIMEOUT = timedelta(seconds=30)
LEAST_PAUSE = timedelta(minutes=1)
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9.-]{1,253}")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f.]{0,15}(:[0-9A-Fa-f.]{0,15}){2,8}", re.ASCII)
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


def _pause(value: timedelta | None) -> timedelta | None:
    if value is not None and value < LEAST_PAUSE:
        raise ValueError(f"must be at least {duration_text(LEAST_PAUSE)}; null for no reminders")
    return value


def _address(value: object) -> object:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ValueError("must be an address such as ana@example.org")
    return value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("'to' is empty, so nobody would hear of anything")
    return value


def _host(value: object) -> object:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ValueError(
            "must be the name of a mail server, such as smtp.example.org; its port goes into 'port'"
        )
    return value


Variable = Annotated[str, BeforeValidator(_variable)]
Timeout = Annotated[Duration, AfterValidator(_timeout)]
Address = Annotated[str, BeforeValidator(_address)]


class Channel(Node):
    """What all channels have in common."""

    on: Annotated[tuple[Kind, ...], BeforeValidator(listed), AfterValidator(_kinds)] = Field(
        default=tuple(KINDS), description="kinds of alerts that are sent; default: all"
    )
    replays: bool = Field(
        default=False, description="also what replays, backfills and experiments do, not only what is live"
    )
    severity: Severity = Field(
        default="info", description="least severity that is sent: info, warning, error or critical"
    )
    remind: Annotated[Duration | None, AfterValidator(_pause)] = Field(
        default="7d",
        validate_default=True,
        description="what is still open is told again after so long; null: never",
    )

    @property
    def name(self) -> str:
        """What the channel is called in logs and cursors; never a secret."""
        return str(vars(self)["type"])


class LogChannel(Channel):
    """One line an alert in the Python log ``mlpipe.alerts``."""

    type: Literal["log"] = "log"


class WebhookChannel(Channel):
    """A POST of JSON with what there is to tell: the alerts, and their ``text`` for chats that show one."""

    type: Literal["webhook"] = "webhook"
    url_env: Variable = Field(description="environment variable that holds the address, http or https")
    secret_env: Variable | None = Field(
        default=None, description="environment variable that holds the key of the signature (HMAC-SHA256)"
    )
    timeout: Timeout = Field(
        default="5s", validate_default=True, description="longest wait for an answer; at most 30s"
    )

    @property
    def name(self) -> str:
        return f"webhook {self.url_env}"


class SlackChannel(Channel):
    """A message in Slack's own form to an incoming webhook."""

    type: Literal["slack"] = "slack"
    url_env: Variable = Field(
        description="environment variable that holds the address of the incoming webhook"
    )
    timeout: Timeout = Field(
        default="5s", validate_default=True, description="longest wait for an answer; at most 30s"
    )

    @property
    def name(self) -> str:
        return f"slack {self.url_env}"


class EmailChannel(Channel):
    """A mail by SMTP. The password stays in the environment, and never goes over an open line."""

    type: Literal["email"] = "email"
    to: Annotated[tuple[Address, ...], BeforeValidator(listed), AfterValidator(_some)] = Field(
        description="who gets it: one address or several"
    )
    sender: Address = Field(alias="from", description="address that it comes from")
    host: Annotated[str, BeforeValidator(_host)] = Field(description="mail server")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="default: 587 for starttls, 465 for tls, 25 for none"
    )
    security: Security = Field(
        default="starttls",
        description="starttls, tls from the first byte, or none; certificates are checked",
    )
    user_env: Variable | None = Field(default=None, description="environment variable with the user's name")
    password_env: Variable | None = Field(default=None, description="environment variable with the password")
    timeout: Timeout = Field(
        default="10s", validate_default=True, description="longest wait for an answer; at most 30s"
    )

    @model_validator(mode="after")
    def _together(self) -> "EmailChannel":
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("'user_env' and 'password_env' go together; one is missing")
        if self.security == "none" and self.password_env is not None:
            raise ValueError(
                "a password would go over an open line: take security 'starttls' or 'tls', or no password"
            )
        return self

    @property
    def name(self) -> str:
        return f"email {', '.join(self.to)}"

    @property
    def door(self) -> int:
        """Port of the mail server."""
        return self.port or PORTS[self.security]


def _shape(value: object) -> object:
    named = (
        isinstance(value, dict) and isinstance(value.get("type"), str) and CHANNEL.fullmatch(value["type"])
    )
    if isinstance(value, Node) or named:
        return value
    raise ValueError(
        "a channel is its name, such as log, or its name with settings below it, such as {webhook: {url_env: SLACK_URL}}"
    )


AnyChannel = Annotated[
    LogChannel | WebhookChannel | SlackChannel | EmailChannel,
    Field(discriminator="type"),
    BeforeValidator(_shape),
]


Channels = Annotated[
    tuple[AnyChannel, ...],
    BeforeValidator(listed),
    once(lambda n: f"the channel '{n}' stands twice; write all its kinds into one 'on'"),
]
