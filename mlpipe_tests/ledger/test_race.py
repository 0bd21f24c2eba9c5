"""Processes that promote at once: on a file system, and on a real S3 server."""

import secrets
from pathlib import Path

import pytest

from mlpipe_tests.ledger.racing import MOVES, check_winner_named, go, racing, survey, told
from mlpipe_tests.stores.test_s3 import BUCKET, server  # noqa: F401 (a fixture)

SIZES = [
    pytest.param(4, 40, id="short"),
    pytest.param(16, 500, id="long", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
]


def race(url: str, racers: int, promotions: int) -> None:
    """As many models as `promotions`, shared out among the racers, become champion one after the other."""
    names = [f"racer{n}" for n in range(racers)]
    share, rest = divmod(promotions, racers)
    heard = {}
    with racing(url, {name: share + (n < rest) for n, name in enumerate(names)}) as processes:
        go(processes.values())
        for name, process in processes.items():
            out, err = process.communicate(timeout=1500)
            assert process.returncode == 0, err
            heard[name] = told(out)

    entries = survey(url)
    moves = [e for e in entries if e.kind in MOVES]
    assert len(moves) == promotions
    assert sorted(e.version or 0 for e in entries if e.kind == "register") == list(range(1, promotions + 1))
    won = {name: [h["version"] for h in attempts if h["won"]] for name, attempts in heard.items()}
    assert {name: [e.version for e in moves if e.actor == name] for name in names} == won
    by_number = {e.number: e.hash for e in entries}
    assert all(
        by_number[n] == digest for attempts in heard.values() for h in attempts for n, digest in h["entries"]
    )
    losses = [(name, h) for name, attempts in heard.items() for h in attempts if not h["won"]]
    assert losses, "they did not run at once"
    for name, loss in losses:
        check_winner_named(loss, name, entries)
    print(f"{promotions} promotions by {racers} processes: {len(entries)} entries, {len(losses)} losses told")


@pytest.mark.parametrize(("racers", "promotions"), SIZES)
def test_in_a_folder_promotions_at_once_make_one_unbroken_chain(
    tmp_path: Path, racers: int, promotions: int
) -> None:
    race(str(tmp_path), racers, promotions)


@pytest.mark.parametrize(("racers", "promotions"), SIZES)
def test_on_s3_promotions_at_once_make_one_unbroken_chain(bucket: str, racers: int, promotions: int) -> None:
    race(bucket, racers, promotions)


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F811
    """Address of an empty place on a real server, which child processes reach too."""
    for name, value in (
        ("AWS_ENDPOINT_URL", server),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{secrets.token_hex(6)}/store"
