"""A process that works on an index for some seconds; for the test of many at once.

    python hammer.py write|materialize|ask|sync URL STORE NUMBER SECONDS [HOME]

It says "ready", and begins at a line on its standard input. A writer puts records into the store first, as a step does, and then into the
index. One that materializes has a pipeline of its own, whose runs are Dagster's, on the instance in HOME, and syncs after each of them. The
one that syncs is killed NUMBER times meanwhile, and begun again. What goes wrong is printed, and the exit code is 1.
"""

import os
import random
import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta

from mlpipe.index.index import Index
from mlpipe.records.codec import to_bytes
from mlpipe.records.record import Record
from mlpipe.stores.store import Store
from mlpipe_tests.index.made import evaluation, metric, training


def write(url: str, place: str, number: int, until: float, home: str) -> int:
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


def materialize(url: str, place: str, number: int, until: float, home: str) -> int:
    """Days of a shop, six at a time, a training of each six, and a day of predictions."""
    import dagster as dg

    from mlpipe.orchestration.reconcile import brought_up
    from mlpipe.orchestration.runs import Request, run
    from mlpipe_tests.orchestration.shop import START, shop

    few = {"window": "4d", "split": {"valid": "1d", "test": "1d"}}
    made, count = shop(name=f"shop{number}", store=place, **few), 0
    told: list[str] = []
    definitions = made.definitions()
    with dg.DagsterInstance.from_config(home) as on:
        while count < 2 or time.time() < until:
            first = date.fromisoformat(START) + timedelta(days=7 * (count // 3))
            days = [(first + timedelta(days=n)).isoformat() for n in range(7)]
            request = (
                Request("ingest", days[0], days[5]),
                Request("training", days[5], days[5]),
                Request("daily", days[6], days[6]),
            )[count % 3]
            run(made.spec, definitions, on, request)
            brought_up(url, stores=[place], tell=told.append, on=on)
            assert not told, told
            count += 1
    return count


def sync(url: str, place: str, kills: int, until: float, home: str) -> int:
    chance, killed = random.Random(kills), 0
    pause = (until - time.time()) / kills
    while time.time() < until:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                syncs(url, place, until, home)
                code = 0
            finally:
                os._exit(code)
        time.sleep(chance.uniform(0.2, 1.0) * pause)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or status == 0, "a sync failed"
        killed += os.WIFSIGNALED(status)
    return killed


def syncs(url: str, place: str, until: float, home: str) -> None:
    import dagster as dg

    from mlpipe.orchestration.reconcile import brought_up

    told: list[str] = []
    with ExitStack() as stack:
        on = stack.enter_context(dg.DagsterInstance.from_config(home)) if home else None
        while time.time() < until:
            brought_up(url, stores=[place], tell=told.append, on=on)
            assert not told, told


def ask(url: str, place: str, number: int, until: float, home: str) -> int:
    count, before = 0, 0
    whole = {"params.window", "metrics.model.rows_train"} if home else {"params.lr", "metrics.f1"}
    with Index.open(url, create=True) as index:
        while time.time() < until:
            answer = index.ask("order by started desc limit 20")
            ids = [row["id"] for row in answer.rows]
            assert len(set(ids)) == len(ids), "a row is there twice"
            assert all(whole <= row.keys() for row in answer.rows), "half a row"
            held = index.count()
            assert held >= before, f"{before} rows became {held}"
            before = held
            count += 1
            time.sleep(0.01)
    return count


if __name__ == "__main__":
    work, url, place, number, seconds, *home = sys.argv[1:]
    if work in ("materialize", "sync"):
        # Before it says that it is ready. The others start in a tenth of the time without Dagster.
        import mlpipe.orchestration.reconcile
        import mlpipe.orchestration.runs  # noqa: F401
    print("ready", flush=True)
    sys.stdin.readline()
    print(
        {"write": write, "materialize": materialize, "sync": sync, "ask": ask}[work](
            url, place, int(number), time.time() + float(seconds), "".join(home)
        )
    )
