"""Events that arrive: in a file, at a server, or not at all."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlpipe.errors import MlpipeError
from mlpipe.notify.lineage import destination, send, shown
from mlpipe_tests.views.test_openlineage import FEATURES, record

MODEL = record("train", "model")


@pytest.fixture
def catalogue() -> Iterator[tuple[str, list[Any]]]:
    """A server that keeps what it is told: path, key, event."""
    heard: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, self.headers.get("Authorization"), json.loads(body)))
            self.send_response(500 if self.path.endswith("/broken") else 201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()
        thread.join()


def test_it_is_off_unless_it_is_asked_for() -> None:
    assert destination({}) == "" and destination({"MLPIPE_OPENLINEAGE": " file:///a "}) == "file:///a"


def test_a_file_gets_a_line_an_event_and_keeps_what_it_had(tmp_path: Path) -> None:
    file = tmp_path / "with blank.jsonl"
    to = file.as_uri()
    assert send([FEATURES, MODEL], "file:///store", to, {}) == 2
    assert send([MODEL], "file:///store", to, {"OPENLINEAGE_NAMESPACE": "prod"}) == 1
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [e["job"]["name"] for e in events] == ["flights.features"] * 2 + ["flights.model"] * 4
    assert [e["job"]["namespace"] for e in events] == ["mlpipe"] * 4 + ["prod"] * 2


def test_a_server_is_told_with_the_key(catalogue: tuple[str, list[Any]]) -> None:
    url, heard = catalogue
    assert send([MODEL], "file:///store", url, {"OPENLINEAGE_API_KEY": "k"}) == 1
    assert [(p, k, e["eventType"]) for p, k, e in heard] == [
        ("/api/v1/lineage", "Bearer k", "START"),
        ("/api/v1/lineage", "Bearer k", "COMPLETE"),
    ]


def test_a_server_that_refuses_is_named_without_its_password(catalogue: tuple[str, list[Any]]) -> None:
    url = catalogue[0].replace("http://", "http://ann:hunter2@") + "/broken"
    with pytest.raises(MlpipeError, match="cannot be delivered") as caught:
        send([MODEL], "file:///store", url, {})
    assert "hunter2" not in str(caught.value) and "/broken" in str(caught.value)
    assert shown(url) == f"{catalogue[0]}/broken"


def test_nobody_there() -> None:
    with pytest.raises(MlpipeError, match=r"cannot be delivered.*\n?"):
        send([MODEL], "file:///store", "http://127.0.0.1:1", {})


@pytest.mark.parametrize("to", ["ftp://x/y", "nonsense", "file://host/x", "http://"])
def test_a_destination_that_is_none(to: str) -> None:
    with pytest.raises(MlpipeError, match="cannot be sent to"):
        send([MODEL], "file:///store", to, {})
