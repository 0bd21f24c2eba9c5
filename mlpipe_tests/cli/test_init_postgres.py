"""A table on a real PostgreSQL server, from `mlpipe init` to a judged model, in bounded memory."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlpipe_tests.postgres import serving

TABLE = """
create table orders as
select i as order_id,
       timestamp '2023-01-01' + i * (interval '{days} days' / {rows}) as ordered_at,
       100 + 50 * sin(i) + (i % 1009 * 7919 % 101) as size,
       (array['north', 'south', 'east', 'west'])[1 + i * 31 % 4] as region,
       (i % 1000 * 104729 % 1000)::numeric / 10 as discount,
       (100 + 50 * sin(i) + (i % 1009 * 7919 % 101) + (i % 997 * 15485 % 60) > 170) as late
from generate_series(1, {rows}) as i"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a cluster of our own."""
    with serving("init") as url:
        yield url


@pytest.mark.parametrize(
    ("rows", "days", "most"),
    [
        (8_000, 10, 600),
        pytest.param(1_000_000, 200, 900, marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
    ],
)
def test_a_table_runs_in_bounded_memory(server: str, tmp_path: Path, rows: int, days: int, most: int) -> None:
    with sa.create_engine(server).begin() as connection:
        connection.execute(sa.text("drop table if exists orders"))
        connection.execute(sa.text(TABLE.format(rows=rows, days=days)))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER_", "MLPIPE_"))}

    def mlpipe(*arguments: str) -> str:
        line = [sys.executable, "-m", "mlpipe", *arguments]
        done = subprocess.run(line, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-3000:]
        return done.stdout

    told = mlpipe("init", "orders", "--data", f"{server}#orders", "--label", "late", "--key", "order_id")
    assert f"{rows:,}, sql" in told and "one partition a day, from 2023-01-01" in told
    told = mlpipe("run", "orders")
    assert f"{rows:,} frozen, 0 quarantined" in told and "orders@1" in told
    peak = re.search(r"at most ([\d,]+) MB of memory", told)
    assert peak is not None and int(peak[1].replace(",", "")) <= most, told[-200:]
    print(told[-60:])
