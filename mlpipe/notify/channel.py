"""What every channel can do, and what it raises when it cannot."""

from collections.abc import Sequence
from typing import Protocol

from mlpipe.errors import MlpipeError
from mlpipe.notify.alert import Alert


class NotDeliveredError(MlpipeError):
    """A channel did not take a message. Its text holds no secret: neither the address, nor what the receiver answered.

    `retry_after`: seconds that the receiver asked to be left alone; 0 when it asked for none.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "", retry_after: float = 0.0) -> None:
        super().__init__(what, where=where, fix=fix)
        self.retry_after = retry_after


class Carrier(Protocol):
    """Carries alerts. To add one: a module with this method, a node in `mlpipe.spec.alerts`, a line in `mlpipe.notify.carriers`."""

    def deliver(self, alerts: Sequence[Alert], patience: float) -> None:
        """Hand over, as one message, what one round has to tell, in at most about `patience` seconds.

        Parameters
        ----------
        alerts
            At least one, in order of time.

        Raises
        ------
        NotDeliveredError
            When the receiver did not take it; then it is handed all of them again later.
        """
        ...
