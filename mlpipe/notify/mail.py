"""E-mail: what there is to tell as one mail, by SMTP over TLS. User and password stay in the environment."""

import hashlib
import logging
import os
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from mlpipe.notify.alert import Alert
from mlpipe.notify.channel import NotDeliveredError
from mlpipe.notify.log import LOGGER
from mlpipe.notify.post import variable
from mlpipe.spec.alerts import EmailChannel

SUBJECT = 200
"""Longest subject."""
ME = "mlpipe.invalid"
"""Domain of the ids of mails: one that nobody can have (RFC 2606)."""


@dataclass(frozen=True)
class Mail:
    """Delivers to a mail server, whose certificate is checked.

    Parameters
    ----------
    settings
        The declared channel.
    environment
        For tests: where variables are read.
    """

    settings: EmailChannel
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def deliver(self, alerts: Sequence[Alert], patience: float) -> None:
        """Send one mail; see `message`. A recipient that the server refuses while it takes others is told in the log.

        Raises
        ------
        NotDeliveredError
            Says what went wrong; never the user or the password, nor what the server said of them.
        """
        at = self.settings
        login = None
        if at.user_env is not None and at.password_env is not None:
            login = tuple(variable(self.environment, n, at.name) for n in (at.user_env, at.password_env))
        try:
            with self._door(min(at.timeout.total_seconds(), max(patience, 0.1))) as server:
                if login is not None:
                    server.login(*login)
                refused = server.send_message(message(alerts, at.sender, at.to), at.sender, list(at.to))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotDeliveredError(_why(error), where=at.name, fix=_fix(error, at)) from None
        for name in refused:
            logging.getLogger(LOGGER).warning("the mail server takes no mail for %s", name)

    def _door(self, timeout: float) -> smtplib.SMTP:
        at, secure = self.settings, ssl.create_default_context()
        if at.security == "tls":
            return smtplib.SMTP_SSL(at.host, at.door, timeout=timeout, context=secure)
        server = smtplib.SMTP(at.host, at.door, timeout=timeout)
        try:
            if at.security == "starttls":
                server.starttls(context=secure)
        except BaseException:
            server.close()
            raise
        return server


def message(alerts: Sequence[Alert], sender: str, to: Sequence[str]) -> EmailMessage:
    """The mail: plain text, an id that stays the same when it is sent again, and a mark that no machine shall answer it."""
    made = EmailMessage()
    made["Subject"] = _subject(alerts)[:SUBJECT]
    made["From"], made["To"] = sender, ", ".join(to)
    made["Date"] = format_datetime(datetime.now(UTC))
    name = hashlib.sha256("\n".join(a.id for a in alerts).encode()).hexdigest()[:32]
    made["Message-ID"] = f"<{name}@{ME}>"
    made["Auto-Submitted"] = "auto-generated"
    text = "\n\n".join(_paragraph(a) for a in alerts)
    made.set_content(text.encode("utf-8", "replace").decode())
    return made


def _subject(alerts: Sequence[Alert]) -> str:
    first = alerts[0]
    names = ", ".join(dict.fromkeys(a.pipeline for a in alerts))
    words = first.title if len(alerts) == 1 else f"{len(alerts)} alerts of {names}: {first.title}, …"
    marks = "".join(dict.fromkeys(a.mark for a in alerts))
    # A line break would begin a header of its own. Titles have none, but a subject must not depend on that.
    line = " ".join(f"{marks} {words} ({first.deployment})".split())
    return line.encode("utf-8", "replace").decode()


def _paragraph(alert: Alert) -> str:
    severity = "resolved" if alert.state == "resolved" else alert.severity
    at = f"{alert.happened_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    lines = [f"{alert.mark} {alert.title}", alert.text, f"{alert.kind}, {severity}, {at}, {alert.deployment}"]
    lines += [f"Asset: {alert.link}"] if alert.link else []
    lines += [f"Runbook: {alert.runbook}"] if alert.runbook else []
    return "\n".join([*lines, f"Id: {alert.id}"])


def _why(error: Exception) -> str:
    """What went wrong, in our own words: those of a server may quote what it was sent."""
    if isinstance(error, smtplib.SMTPServerDisconnected):
        # smtplib wraps what befell the line.
        behind = error.__context__
        return _why(behind) if isinstance(behind, OSError) else "the mail server broke off"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the mail server does not take this user and password ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the mail server takes no mail for any of these recipients"
    if isinstance(error, smtplib.SMTPSenderRefused):
        return f"the mail server takes no mail from this sender ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server does not offer what is asked of it"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {error.smtp_code}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the mail server's certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "the mail server does not answer in time"
    if isinstance(error, socket.gaierror):
        return "the mail server is not known by this name"
    if isinstance(error, ConnectionError) and error.errno:
        return f"no connection to the mail server: {os.strerror(error.errno)}"
    return f"the mail server cannot be used: {type(error).__name__}"


def _fix(error: Exception, at: EmailChannel) -> str:
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"Look at 'security' ({at.security}) and 'port' ({at.door})."
    if isinstance(error, ssl.SSLError):
        return f"Look at 'security' ({at.security}) and 'port' ({at.door}), or name your own authority: SSL_CERT_FILE."
    return ""
