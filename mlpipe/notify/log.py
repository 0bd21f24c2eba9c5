"""The channel that is always there: one line an alert in the Python log ``mlpipe.alerts``."""

import logging

from mlpipe.notify.alert import Alert

LOGGER = "mlpipe.alerts"
LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Log:
    """Writes a line; the alert's fields go along as ``alert`` for handlers that write structured logs."""

    def deliver(self, alert: Alert, patience: float) -> None:
        """Write the line."""
        where = f" {alert.link}" if alert.link else ""
        line = f"{alert.pipeline} ({alert.deployment}) {alert.kind}: {alert.text}{where} [{alert.id}]"
        logging.getLogger(LOGGER).log(LEVELS[alert.severity], "%s", line, extra={"alert": alert.to_json()})
