"""A process that works on an index for some seconds; for the test of many at once.

    python hammer.py write|ask|sync URL STORE NUMBER SECONDS

It says "ready", and begins at a line on its standard input. A writer puts records into the store first, as a step does, and then into the
index. The one that syncs is killed NUMBER times meanwhile, and begun again. What goes wrong is printed, and the exit code is 1.
"""

import os
import random
import signal
import sys
import time
from datetime import UTC, datetime

from mlpipe.index.index import Index
from mlpipe.orchestration.reconcile import brought_up
from mlpipe.records.codec import to_bytes
from mlpipe.records.record import Record
from mlpipe.stores.store import Store
from mlpipe_tests.index.made import evaluation, metric, training


def write(url: str, place: str, number: int, until: float) -> int:
    store = Store.open(place)
    count = 0
    while time.time() < until:
        made: list[Record] = []
        for i in range(4):
            name = f"{number}-{count}-{i}"
            now = datetime.now(UTC)
            model = training(
                count,
                f"bundle-{name}",
                params={"lr": 10.0 ** -(count % 5), "name": name},
                metrics=(metric("f1", (count % 10) / 10, "valid"),),
                run=f"run-{number}-{count}",
                recorded_at=now,
            )
            made += [model, evaluation(model, count, f1=(count % 7) / 7)]
        for record in made:
            store.add_record("flights", record.id, to_bytes(record))
        # Opened anew, as each step does.
        with Index.open(url, create=True) as index:
            index.add(made, store.url)
        count += 1
    return count


def sync(url: str, place: str, kills: int, until: float) -> int:
    chance, killed = random.Random(kills), 0
    pause = (until - time.time()) / kills
    while time.time() < until:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                syncs(url, place, until)
                code = 0
            finally:
                os._exit(code)
        time.sleep(chance.uniform(0.2, 1.0) * pause)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or status == 0, "a sync failed"
        killed += os.WIFSIGNALED(status)
    return killed


def syncs(url: str, place: str, until: float) -> None:
    told: list[str] = []
    while time.time() < until:
        brought_up(url, stores=[place], tell=told.append)
        assert not told, told


def ask(url: str, place: str, number: int, until: float) -> int:
    count, before = 0, 0
    with Index.open(url, create=True) as index:
        while time.time() < until:
            answer = index.ask("order by started desc limit 20")
            ids = [row["id"] for row in answer.rows]
            assert len(set(ids)) == len(ids), "a row is there twice"
            assert all("params.lr" in row and "metrics.f1" in row for row in answer.rows), "half a row"
            held = index.count()
            assert held >= before, f"{before} rows became {held}"
            before = held
            count += 1
            time.sleep(0.01)
    return count


if __name__ == "__main__":
    work, url, place, number, seconds = sys.argv[1:]
    print("ready", flush=True)
    sys.stdin.readline()
    print(
        {"write": write, "sync": sync, "ask": ask}[work](
            url, place, int(number), time.time() + float(seconds)
        )
    )
