"""An S3 bucket as a backend: `PutObject` with ``If-None-Match: *`` is the compare-and-set.

Answers of the server, and what they mean: 200 is ours; 412 is somebody else's, unless an earlier try of this very call
was sent and its answer lost: then the stored bytes are read back, and equal bytes are ours; 409 is a race with another
request, tried again after a pause. A server that ignores the condition would let two writers win, so the first object
that a process creates is offered a second time and must be refused.

The endpoint comes from ``AWS_ENDPOINT_URL``, credentials and region from boto3's usual places.
"""

import importlib
import os
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

from mlpipe.errors import MlpipeError, NotFoundError, StoreError
from mlpipe.stores.backend import TEMPORARY, check_path, is_segment

_TRIES = 6
_FIRST_PAUSE_S = 0.1
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_EXISTS = frozenset({"412", "PreconditionFailed"})
_CONFLICT = frozenset({"409", "ConditionalRequestConflict", "OperationAborted"})
_PASSING = frozenset(
    {"500", "502", "503", "InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout"}
)
_FIXES = {
    "NoSuchBucket": "Create the bucket first; mlpipe makes none.",
    "AccessDenied": "Give these credentials s3:GetObject, s3:PutObject and s3:ListBucket on the bucket.",
    "403": "Give these credentials s3:GetObject, s3:PutObject and s3:ListBucket on the bucket.",
    "NotImplemented": "This server has no conditional writes: use one that supports If-None-Match on PutObject.",
    "501": "This server has no conditional writes: use one that supports If-None-Match on PutObject.",
}


class S3Backend:
    """Immutable objects below one prefix of a bucket.

    Parameters
    ----------
    bucket
        An existing bucket.
    prefix
        Segments joined by ``/``; may be empty.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        if prefix:
            check_path(prefix)
        self.bucket, self.prefix = bucket, prefix
        self._lock = threading.Lock()
        self._client_of: tuple[int, Any] | None = None
        self._proven = False

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def __repr__(self) -> str:
        return f"S3Backend({self.bucket!r}, {self.prefix!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return S3Backend, (self.bucket, self.prefix)

    def read(self, path: str) -> bytes:
        """All bytes of one object."""
        answer = self._ask("read", path, "get_object", Key=self._key(path))
        try:
            return bytes(answer["Body"].read())
        except _boto("botocore.exceptions").BotoCoreError as error:
            raise self._failed("read", path, error) from error

    def create(self, path: str, data: bytes) -> bool:
        """Write `data` to `path`, if nothing lies there; True when this call did."""
        created = self._put(path, data)
        if created and not self._proven:
            if self._put_once(path, data):
                raise StoreError(
                    f"The server at {self.url} overwrote an object that it was told to keep: it ignores "
                    "If-None-Match, so two people could promote at once.",
                    fix="Use a server with conditional writes, or a folder.",
                )
            self._proven = True
        return created

    def exists(self, path: str) -> bool:
        """Whether an object lies at `path`."""
        try:
            self.size(path)
        except NotFoundError:
            return False
        return True

    def size(self, path: str) -> int:
        """Bytes of the object at `path`."""
        return int(self._ask("look at", path, "head_object", Key=self._key(path))["ContentLength"])

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Path and bytes of every object below the folder `prefix`, sorted by path."""
        # Not every server lists in the order of whole keys, as AWS does.
        yield from sorted(self._pages(prefix))

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Path of every object below the folder `prefix`, in no order."""
        return (path for path, _ in self._pages(prefix))

    def _pages(self, prefix: str) -> Iterator[tuple[str, int]]:
        below = f"{self._key(prefix) if prefix else self.prefix}/".lstrip("/")
        strip = len(self.prefix) + 1 if self.prefix else 0
        token: dict[str, str] = {}
        while True:
            page = self._ask("list", prefix or "/", "list_objects_v2", Prefix=below, **token)
            for entry in page.get("Contents", ()):
                path = entry["Key"][strip:]
                segments = path.split("/")
                if all(map(is_segment, segments)) and segments[0] != TEMPORARY:
                    yield path, int(entry["Size"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def temporary(self) -> int:
        """Always 0: an upload that was not finished leaves nothing."""
        return 0

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{check_path(path)}".lstrip("/")

    def _put(self, path: str, data: bytes) -> bool:
        sent_before = False
        for attempt in range(_TRIES):
            try:
                if self._put_once(path, data):
                    return True
                # The answer to an earlier try of ours may have been lost on the way.
                return sent_before and self.read(path) == data
            except _Again as again:
                sent_before = sent_before or again.may_have_been_written
                if attempt == _TRIES - 1:
                    raise self._failed("write", path, again.error) from again.error
            time.sleep(_FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def _put_once(self, path: str, data: bytes) -> bool:
        errors = _boto("botocore.exceptions")
        try:
            self._client().put_object(Bucket=self.bucket, Key=self._key(path), Body=data, IfNoneMatch="*")
        except errors.ClientError as error:
            code = _code(error)
            if code in _EXISTS:
                return False
            if code in _CONFLICT or code in _PASSING:
                raise _Again(error, may_have_been_written=code in _PASSING) from error
            raise self._failed("write", path, error) from error
        except (errors.HTTPClientError, errors.ConnectionError) as error:
            raise _Again(error, may_have_been_written=True) from error
        except errors.BotoCoreError as error:
            raise self._failed("write", path, error) from error
        return True

    def _ask(self, verb: str, path: str, operation: str, **arguments: Any) -> Any:
        errors = _boto("botocore.exceptions")
        for attempt in range(_TRIES):
            try:
                return getattr(self._client(), operation)(Bucket=self.bucket, **arguments)
            except errors.ClientError as error:
                code = _code(error)
                if code in _MISSING:
                    raise NotFoundError(
                        f"Nothing lies at {path!r}.",
                        where=self.url,
                        fix="Check the id, and that this is the right store.",
                    ) from None
                if code not in _PASSING or attempt == _TRIES - 1:
                    raise self._failed(verb, path, error) from error
            except (errors.HTTPClientError, errors.ConnectionError) as error:
                if attempt == _TRIES - 1:
                    raise self._failed(verb, path, error) from error
            except errors.BotoCoreError as error:
                raise self._failed(verb, path, error) from error
            time.sleep(_FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def _client(self) -> Any:
        """One client for each process: they may be shared by threads, not across a fork."""
        with self._lock:
            if self._client_of is None or self._client_of[0] != os.getpid():
                # boto3 itself must not retry: `_put` has to know which tries were sent.
                config = _boto("botocore.config").Config(
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    connect_timeout=5,
                    read_timeout=60,
                    s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else {},
                )
                session = _boto("boto3").session.Session()
                self._client_of = os.getpid(), session.client("s3", config=config)
            return self._client_of[1]

    def _failed(self, verb: str, path: str, error: Exception) -> StoreError:
        fix = _FIXES.get(
            _code(error), "Check AWS_ENDPOINT_URL, the credentials and the network, then run again."
        )
        return StoreError(f"Could not {verb} {path!r}: {error}", where=self.url, fix=fix)


class _Again(Exception):
    """A try that may be repeated, and whether the server may have done it all the same."""

    def __init__(self, error: Exception, *, may_have_been_written: bool) -> None:
        super().__init__(str(error))
        self.error, self.may_have_been_written = error, may_have_been_written


def _code(error: Exception) -> str:
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _boto(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MlpipeError(
            "An s3:// store needs boto3, which is not installed.",
            fix="Install the extra: pip install 'mlpipe[s3]'.",
        ) from error
