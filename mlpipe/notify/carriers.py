"""The carriers by type of channel."""

from collections.abc import Callable
from typing import Any

from mlpipe.notify.channel import Carrier
from mlpipe.notify.log import Log
from mlpipe.notify.mail import Mail
from mlpipe.notify.slack import Slack
from mlpipe.notify.webhook import Webhook
from mlpipe.spec.alerts import Channel

CARRIERS: dict[str, Callable[[Any], Carrier]] = {
    "log": lambda _: Log(),
    "webhook": Webhook,
    "slack": Slack,
    "email": Mail,
}


def carrier_of(channel: Channel) -> Carrier:
    """The carrier of a declared channel."""
    return CARRIERS[vars(channel)["type"]](channel)
