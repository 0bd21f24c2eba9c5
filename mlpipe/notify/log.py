"""The channel that is always there: one line an alert in the Python log ``mlpipe.alerts``."""

import logging
from collections.abc import Sequence

from mlpipe.notify.alert import Alert

LOGGER = "mlpipe.alerts"
LEVELS = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


class Log:
    """Writes a line an alert; its fields go along as ``alert`` for handlers that write structured logs."""

    def deliver(self, alerts: Sequence[Alert], patience: float) -> None:
        """Write the lines."""
        for alert in alerts:
            where = f" {alert.link}" if alert.link else ""
            todo = f" Runbook: {alert.runbook}" if alert.state == "firing" else ""
            line = (
                f"{alert.pipeline} ({alert.deployment}) {alert.kind}: {alert.text}{where}{todo} [{alert.id}]"
            )
            level = LEVELS[alert.severity]
            logging.getLogger(LOGGER).log(level, "%s", line, extra={"alert": alert.to_json()})
