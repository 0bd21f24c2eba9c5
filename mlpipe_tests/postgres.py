"""A PostgreSQL server of one's own, on loopback, for tests that need a real one."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """Folder of PostgreSQL's server programs."""
    found = shutil.which("postgres")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


def as_server(command: list[str]) -> list[str]:
    """The command as a user that PostgreSQL accepts: it refuses root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@contextmanager
def serving(name: str) -> Iterator[str]:
    """URL of a cluster of our own."""
    folder = binaries()
    if folder is None or (os.geteuid() == 0 and shutil.which("runuser") is None):
        pytest.skip(
            "NO POSTGRESQL SERVER: the SQL source is not tested against a real one; apt install postgresql"
        )
    root = Path("/tmp") / f"mlpipe-pg-{name}-{os.getpid()}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subprocess.run(
        as_server([f"{folder}/initdb", "-D", str(root), "-A", "trust", "-U", "owner"]),
        check=True,
        capture_output=True,
    )
    options = f"-h 127.0.0.1 -p {port} -k {root} -c fsync=off"
    control = [f"{folder}/pg_ctl", "-D", str(root), "-w"]
    subprocess.run(
        as_server([*control, "-o", options, "-l", f"{root}/log", "start"]), check=True, capture_output=True
    )
    try:
        yield f"postgresql+psycopg2://owner@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(as_server([*control, "-m", "immediate", "stop"]), check=False, capture_output=True)
        shutil.rmtree(root, ignore_errors=True)
