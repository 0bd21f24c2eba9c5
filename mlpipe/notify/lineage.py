"""Lineage for others: records as OpenLineage events, to a file or an HTTP endpoint. Off unless ``MLPIPE_OPENLINEAGE`` names one."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mlpipe.errors import MlpipeError
from mlpipe.records.record import Record
from mlpipe.views.openlineage import events_of

if TYPE_CHECKING:
    from openlineage.client.transport import Transport

VARIABLE, KEY, NAMESPACE = "MLPIPE_OPENLINEAGE", "OPENLINEAGE_API_KEY", "OPENLINEAGE_NAMESPACE"
PATIENCE = 5.0
"""Seconds that an endpoint may take; a run waits for it."""
FIX = f"{VARIABLE} is file:///path/to/events.jsonl or http(s)://host[:port][/path]."


def destination(environ: Mapping[str, str] = os.environ) -> str:
    """Where events go; empty when lineage is off."""
    return environ.get(VARIABLE, "").strip()


def send(records: Iterable[Record], store: str, to: str, environ: Mapping[str, str] = os.environ) -> int:
    """Send the events of some records, in order; how many records.

    Parameters
    ----------
    records
        Any.
    store
        URL of their store.
    to
        ``file:///path`` (JSON lines are appended) or ``http(s)://host[:port][/path]``; the path of the endpoint is ``api/v1/lineage``
        unless it is given. A key for it is read from ``OPENLINEAGE_API_KEY``, the namespace of jobs from ``OPENLINEAGE_NAMESPACE``.

    Raises
    ------
    MlpipeError
        When the destination is none, the client is not installed, or events cannot be delivered; saying how many were.
    """
    namespace = environ.get(NAMESPACE, "").strip() or "mlpipe"
    transport: Transport | None = None
    sent = 0
    for record in records:
        events = events_of(record, store, namespace)
        transport = transport or _transport(to, environ.get(KEY, ""))
        for event in events:
            try:
                transport.emit(event)
            # The client raises whatever its HTTP library and its file system raise.
            except Exception as error:  # noqa: BLE001
                raise MlpipeError(
                    f"an OpenLineage event cannot be delivered: {_first_line(error)}",
                    where=f"{shown(to)}, after {sent} records",
                    fix=f"Mend the endpoint, and send the rest: mlpipe export --format openlineage. {FIX}",
                ) from None
        sent += 1
    return sent


def shown(url: str) -> str:
    """A destination without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _transport(to: str, key: str) -> "Transport":
    parts = urlsplit(to)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        from openlineage.client.transport.file import FileConfig, FileTransport

        return FileTransport(FileConfig(log_file_path=unquote(parts.path), append=True))
    if parts.scheme in ("http", "https") and parts.hostname:
        from openlineage.client.transport.http import HttpConfig, HttpTransport

        port = f":{parts.port}" if parts.port else ""
        config: dict[str, Any] = {
            "url": f"{parts.scheme}://{parts.hostname}{port}",
            "timeout": PATIENCE,
            "retry": {"total": 1},
        }
        if parts.path.strip("/"):
            config["endpoint"] = parts.path.strip("/")
        if key:
            config["auth"] = {"type": "api_key", "apiKey": key}
        return HttpTransport(HttpConfig.from_dict(config))
    raise MlpipeError(f"lineage cannot be sent to {shown(to)!r}", where=VARIABLE, fix=FIX)


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
