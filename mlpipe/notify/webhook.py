"""Webhooks: what there is to tell as a POST of JSON. The address and the key of the signature stay in the environment."""

import hashlib
import hmac
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlpipe.notify.alert import Alert
from mlpipe.notify.post import Post, variable
from mlpipe.notify.slack import escaped
from mlpipe.spec.alerts import WebhookChannel

SIGNATURE = "X-Mlpipe-Signature"
JSON = {"Content-Type": "application/json; charset=utf-8"}


@dataclass(frozen=True)
class Webhook:
    """Delivers to the address in an environment variable; see `mlpipe.notify.post.Post` for what is tried again.

    Parameters
    ----------
    settings
        The declared channel.
    environment, pause, chance
        For tests, as there.
    """

    settings: WebhookChannel
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    pause: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def deliver(self, alerts: Sequence[Alert], patience: float) -> None:
        """POST one message; see `payload` and `signature`.

        Raises
        ------
        NotDeliveredError
            Says what the receiver answered, or why it could not be asked; never the address.
        """
        at, key = self.settings, self.settings.secret_env
        body = json.dumps(payload(alerts), ensure_ascii=False).encode("utf-8", "replace")
        signed = (
            {SIGNATURE: signature(variable(self.environment, key, at.name), body)} if key is not None else {}
        )
        post = Post(at.name, at.url_env, at.timeout, self.environment, self.pause, self.chance)
        post.send(body, JSON | signed, patience)


def payload(alerts: Sequence[Alert]) -> dict[str, Any]:
    """What is sent: ``text``, which chats that are like Slack show, and the alerts as they are under ``alerts``."""
    return {"text": "\n".join(_text(a) for a in alerts), "alerts": [a.to_json() for a in alerts]}


def _text(alert: Alert) -> str:
    """What strangers wrote shall stay text: see `escaped`."""
    link = f" {alert.link}" if alert.link.startswith("http") else ""
    return f"{alert.mark} *{escaped(alert.title)}* ({alert.deployment})\n{escaped(alert.text + link)}"


def signature(key: str, body: bytes) -> str:
    """Value of the header `SIGNATURE`: ``sha256=`` and the HMAC-SHA256 of the body, in hex."""
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
