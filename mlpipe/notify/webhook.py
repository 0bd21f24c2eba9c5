"""Webhooks: what there is to tell as a POST of JSON. The address and the key of the signature stay in the environment."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlpipe.notify.alert import Alert
from mlpipe.notify.post import Poster, variable
from mlpipe.notify.slack import escaped
from mlpipe.spec.alerts import WebhookChannel

SIGNATURE = "X-Mlpipe-Signature"


@dataclass(frozen=True)
class Webhook(Poster):
    """Delivers to the address in an environment variable."""

    settings: WebhookChannel

    def deliver(self, alerts: Sequence[Alert], patience: float) -> None:
        """POST one message; see `payload` and `signature`. Raises as `Poster.post`."""
        self.post(payload(alerts), patience)

    def signed(self, body: bytes) -> dict[str, str]:
        """Its signature, where the channel names a key."""
        key = self.settings.secret_env
        return (
            {}
            if key is None
            else {SIGNATURE: signature(variable(self.environment, key, self.settings.name), body)}
        )


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
