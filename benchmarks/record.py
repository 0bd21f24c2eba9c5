"""What the record costs, and how fast it answers.

Fills indexes of some sizes with trainings made by chance, each with its parameters, metrics on two splits with intervals, tags, cost and
environment, and asks each:

* ``top20``: the runs of the last 30 days with a learning rate below 0.001, the best validation F1 first, 20 of them; warm in this process,
  and cold as ``mlpipe runs …`` typed into a shell;
* ``table``: all runs as a data frame;
* ``top20_others``: twenty by keys with many equal values, by opposites, by endings of texts; the slowest counted;
* ``none_match``: filters that nothing matches, of many shapes; the slowest counted.

Of a million, nine in ten are copies of the first hundred thousand, with moments and fractional numbers of their own.

``added`` is what a step's write adds to a materialization: the record of a training taken into the index, which is opened anew.
``rebuild`` makes an index anew from records in a store.

MLflow (with ``--mlflow-python``, of an environment that has it) gets the same runs in a SQLite file of its own, up to 100,000: the learning
rate as parameter, as people log it, and as a metric besides, for its filters compare parameters as text. The last line is JSON.
"""

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mlpipe.index.frame import frame
from mlpipe.index.index import Index
from mlpipe.index.rows import entry_of
from mlpipe.records.codec import sealed, to_bytes
from mlpipe.records.record import Code, Cost, Environment, Input, MetricValue, Output, Record, Trigger
from mlpipe.stores.store import Store

END = datetime(2026, 1, 1, tzinfo=UTC)
TOP20 = "started > {since} and params.lr < 0.001 order by metrics.valid.f1 desc limit 20"
NONE_MATCH = (
    "metrics.valid.f1 > 2 order by metrics.valid.f1 desc limit 20",
    'params.lr < 0.001 and params.optimizer = "nothing" order by metrics.valid.f1 desc limit 20',
    'tags.owner = "ana" and params.lr < 1e-9 order by started desc limit 20',
    # Each half is met by many.
    "metrics.valid.f1 > 0.7 and metrics.test.f1 < 0.69 order by tags.owner, params.lr limit 20",
    "metrics.valid.f1 > 0.7 and metrics.test.f1 < 0.69",
    "not metrics.valid.f1 > -1 limit 20",
    "not (params.batch = 64 or params.batch in (32, 128)) order by started limit 20",
    "params.batch != 64 and params.batch != 32 and params.batch != 128 limit 20",
    'params.optimizer like "%zzz" and actor like "%@host" limit 20',
    "params.batch is null and params.l2 is null and tags.owner is null limit 20",
    'environment.host = "host" and metrics.valid.f1 > 0.7 and metrics.test.f1 < 0.69 limit 20',
    'stage = "evaluate" or not pipeline like "pipeline%" limit 20',
)
OTHERS = (
    "order by params.max_depth desc limit 20",
    "order by tags.owner desc, params.batch, params.lr limit 20",
    "not metrics.valid.f1 > 0.5 order by metrics.valid.f1 desc limit 20",
    "metrics.valid.f1 < 0.5 order by metrics.valid.f1 desc limit 20",
    'params.optimizer like "%w" and tags.owner = "ana" order by params.batch desc, params.lr limit 20',
    'params.optimizer like "%w" order by started limit 20',
)
LIMITS = {
    100_000: {"top20_warm_ms": 5.0, "top20_cold_cli_ms": 300.0, "table_s": 0.3},
    1_000_000: {"top20_warm_ms": 20.0, "top20_others_ms": 20.0, "none_match_ms": 100.0},
}
MLFLOW_MOST = 100_000
PACKAGES = {f"package-{i}": f"1.{i}" for i in range(12)}


def runs(count: int) -> Iterator[dict[str, Any]]:
    """What is logged of each run: the same for every tool, and for every size, over the year before `END`."""
    for i in range(count):
        chance = random.Random(i)
        yield {
            "number": i,
            "at": END - timedelta(days=365) * ((count - i) / count),
            "params": {
                "learning_rate": 10 ** chance.uniform(-5, 0),
                "optimizer": chance.choice(["adam", "adamw", "sgd"]),
                "max_depth": chance.randint(2, 12),
                "max_iter": chance.choice([100, 200, 400]),
                "l2": chance.random(),
                "batch": chance.choice([32, 64, 128]),
                "early_stopping": chance.random() < 0.5,
            },
            "metrics": {n: chance.random() for n in ("f1", "roc_auc", "log_loss")},
            "owner": chance.choice(["ana", "bob", "eve", "joe"]),
        }


def record_of(run: dict[str, Any]) -> Record:
    """A run as the record of a training."""
    i, params = run["number"], run["params"]
    values = [
        MetricValue(name=n, value=v, split=split, low=v - 0.01, high=v + 0.01)
        for split in ("valid", "test")
        for n, v in run["metrics"].items()
    ]
    return Record(
        pipeline=f"pipeline{i % 5}",
        stage="train",
        asset=f"pipeline{i % 5}/model",
        partition=run["at"].strftime("%Y-%m-%d"),
        run=f"{i:032x}",
        recipe=f"recipe-{i:040x}",
        as_of=run["at"],
        recorded_at=run["at"],
        trigger=Trigger(kind="schedule", reason="the month has begun"),
        actor=f"{run['owner']}@host",
        params={
            "model": "sklearn.ensemble.HistGradientBoostingClassifier",
            "model_params": {"lr" if n == "learning_rate" else n: v for n, v in params.items()},
            "window": 30,
            "threshold": "f1",
            "split": {"train": 20, "valid": 5, "test": 5},
        },
        metrics=tuple(values),
        inputs=(
            Input(asset=f"pipeline{i % 5}/features", partition="2025-01-01", record=f"rec-{i % 1000:040x}"),
        ),
        outputs=(Output(name="bundle", id=f"bundle-{i:040x}", bytes=50_000, rows=10_000),),
        code=Code(stage_version="2", mlpipe="0.1.0", commit="0" * 40),
        environment=Environment(id="e", python="3.11.7", host="host", packages=PACKAGES),
        seeds={"seed": 1},
        cost=Cost(wall_s=1.0 + i % 7, cpu_s=1.0, peak_mib=300.0),
        verdict="trained",
        headline="binary model learned from **10,000** rows",
        tags={"owner": run["owner"]},
    )


def identified(run: dict[str, Any]) -> Record:
    """A record with an id by chance: hashing a million is not what is measured."""
    name = random.Random(run["number"]).getrandbits(160)
    return record_of(run).model_copy(update={"id": f"rec-{name:040x}"})


def fill(file: Path, count: int) -> float:
    """Make an index of so many runs; records a second."""
    begun, batch = time.perf_counter(), []
    with Index.open(str(file), create=True) as index:
        for run in runs(count):
            batch.append(entry_of(identified(run)))
            if len(batch) == 2000:
                index.enter(batch, "/nowhere")
                batch.clear()
        index.enter(batch, "/nowhere")
        index.remember("synced", END.isoformat())
    return count / (time.perf_counter() - begun)


def multiply(base: Path, file: Path, times: int) -> None:
    """Make a larger index from one that is filled: its rows so many times over, with numbers and moments of their own.

    Filling a million takes half an hour, and asks nothing that filling a hundred thousand did not.
    """
    made = file.with_suffix(".part")
    shutil.copyfile(base, made)
    with sqlite3.connect(made, isolation_level=None) as on:
        on.execute("pragma journal_mode=off")
        on.execute("pragma synchronous=off")
        on.execute("pragma cache_size=-1000000")
        found = "select name, sql from sqlite_master where type = 'index' and sql is not null and name not like 'shared%'"
        indexes = on.execute(found).fetchall()
        for name, _ in indexes:
            on.execute(f"drop index {name}")
        rows = on.execute("select max(n) from record").fetchone()[0]
        columns = [row[1] for row in on.execute("pragma table_info(record)")]
        own = {
            "n": f"n + k.value * {rows}",
            "id": "id || '-' || k.value",
            "started": "started - k.value * 1000003",
            "as_of": "as_of - k.value * 1000003",
        }
        chosen = ", ".join(own.get(c, c) for c in columns)
        each = f"(with recursive k(value) as (select 1 union all select value + 1 from k where value < {times - 1}) select value from k) k"
        on.execute("begin")
        on.execute(
            f"insert into record ({', '.join(columns)}) select {chosen} from {each} cross join record r where r.n <= {rows}"
        )
        # Metrics and the like differ; whole numbers stay whole.
        number = "case when number = cast(number as int) then number else number * (1 + k.value * 1e-6) end"
        on.execute(
            f"insert into attribute select key, row + k.value * {rows}, {number}, text from attribute a cross join {each} "
            f"where a.row <= {rows} order by key, row + k.value * {rows}"
        )
        shapes = {
            n: [kind == "f" for _, kind in json.loads(body)]
            for n, body in on.execute("select id, body from shape")
        }
        read = on.execute("select n, shape, pack from record where n <= ?", (rows,)).fetchall()
        for k in range(1, times):
            packs = [(varied(pack, shapes[shape], k), n + k * rows) for n, shape, pack in read]
            on.executemany("update record set pack = ? where n = ?", packs)
        on.execute("commit")
        for _, sql in indexes:
            on.execute(sql)
    with Index.open(str(made)) as index:
        # Whatever is written, the blocks that are due are written with it.
        index.remember("synced", END.isoformat())
    made.rename(file)


def varied(pack: bytes, floats: list[bool], k: int) -> bytes:
    """The numbers of a pack as `multiply` gives them to attributes."""
    values = np.frombuffer(pack, "<f8")
    with np.errstate(invalid="ignore"):
        chosen = np.array(floats) & (values != np.trunc(values))
    return np.where(chosen, values * (1 + k * 1e-6), values).tobytes()


def timed(work: Callable[[], Any], rounds: int = 9) -> tuple[float, Any]:
    """Median seconds, after one that is not counted; and what came out."""
    found = work()
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - begun)
    return median(seconds), found


def asked(file: Path, count: int) -> dict[str, Any]:
    """The questions to one index."""
    since = (END - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M")
    top20 = TOP20.format(since=since)
    told: dict[str, Any] = {"n": count}
    with Index.open(str(file)) as index:
        seconds, answer = timed(lambda: index.ask(top20))
        told["top20_warm_ms"] = round(seconds * 1000, 2)
        found = [(r["params.model_params.lr"], r["metrics.valid.f1"]) for r in answer.rows]
        recent = (
            [r for r in runs(count) if r["at"] > END - timedelta(days=30)] if count <= MLFLOW_MOST else None
        )
        if recent is not None:
            best = sorted(
                (-r["metrics"]["f1"], r["params"]["learning_rate"])
                for r in recent
                if r["params"]["learning_rate"] < 0.001
            )[:20]
            assert found == [(lr, -f1) for f1, lr in best], "the answer is wrong"
        others = [timed(partial(index.ask, q))[0] for q in OTHERS]
        told["top20_others_ms"] = round(max(others) * 1000, 2)
        nothing = [timed(partial(index.ask, q)) for q in NONE_MATCH]
        assert not any(a.rows for _, a in nothing)
        told["none_match_slowest"] = NONE_MATCH[max(range(len(nothing)), key=lambda i: nothing[i][0])]
        told["none_match_ms"] = round(max(s for s, _ in nothing) * 1000, 2)
        if count <= 200_000:
            seconds, table = timed(lambda: frame(index), rounds=5)
            assert len(table) == count and len(set(table["id"])) == count
            told["table_s"], told["table_columns"] = round(seconds, 3), len(table.columns)
    told["top20_cold_cli_ms"] = round(cold(file, top20) * 1000, 1)
    told["added_ms"] = round(added(file) * 1000, 2)
    return told


def cold(file: Path, query: str) -> float:
    """Median seconds of the command, from a fresh Python."""
    command = [str(Path(sys.executable).with_name("mlpipe")), "runs", query, "--json"]
    env = {**os.environ, "MLPIPE_INDEX": str(file)}

    def work() -> None:
        out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
        assert len(json.loads(out)["rows"]) == 20

    return timed(work, rounds=7)[0]


def added(file: Path) -> float:
    """Seconds that a step's write of one record adds: open the index, take the record in, close it. The index is left as it was."""
    from mlpipe.orchestration.indexing import opened, released

    seconds = []
    for number in range(15):
        record = sealed(record_of(next(runs(1)) | {"number": 10**9 + number}))
        begun = time.perf_counter()
        with opened(f"sqlite:///{file}") as index:
            index.add([record], "/nowhere")
        seconds.append(time.perf_counter() - begun)
        with Index.open(str(file)) as index:
            index.remove([record.id])
    released()
    return median(seconds)


def rebuilt(folder: Path, count: int = 2000) -> float:
    """Records a second of a rebuild, from a store on this disk."""
    from mlpipe.orchestration.reconcile import brought_up

    store = Store.open(folder / "store")
    for run in runs(count):
        record = sealed(record_of(run))
        store.add_record(record.pipeline, record.id, to_bytes(record))
    begun = time.perf_counter()
    brought_up(f"sqlite:///{folder}/rebuilt.sqlite", stores=[store.url], full=True, anew=True, tell=print)
    took = time.perf_counter() - begun
    with Index.open(f"{folder}/rebuilt.sqlite") as index:
        assert index.count() == count
    return count / took


def mlflow(python: str, folder: Path, count: int) -> dict[str, Any]:
    """The same questions to MLflow, in a process of its own environment."""
    file = folder / "runs.jsonl"
    with file.open("w") as out:
        for run in runs(count):
            out.write(json.dumps({**run, "at": run["at"].timestamp()}) + "\n")
    script = Path(__file__).with_name("record_mlflow.py")
    since = str((END - timedelta(days=30)).timestamp())
    told = subprocess.run(
        [python, str(script), str(file), str(folder / "mlflow.sqlite"), since],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {"n": count, **json.loads(told.strip().splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sizes", default="10000,100000", help="numbers of records, such as 10000,100000,1000000"
    )
    parser.add_argument(
        "--mlflow-python", metavar="PATH", help="the Python of an environment that has MLflow"
    )
    parser.add_argument(
        "--keep", metavar="FOLDER", help="keep the indexes here, and use those that lie here already"
    )
    args = parser.parse_args()
    sizes = sorted(int(s) for s in args.sizes.split(","))
    folder = Path(args.keep or tempfile.mkdtemp(prefix="mlpipe-record-"))
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    try:
        for count in sizes:
            file = folder / f"index-{count}.sqlite"
            rate = None
            if not file.exists():
                base = folder / f"index-{MLFLOW_MOST}.sqlite"
                if count > MLFLOW_MOST and count % MLFLOW_MOST == 0 and base.exists():
                    multiply(base, file, count // MLFLOW_MOST)
                else:
                    rate = round(fill(file, count))
            told = asked(file, count) | {"filled_per_s": rate, "mib": round(file.stat().st_size / 2**20)}
            results.append(told)
            print(
                f"{count:>9,} records: " + ", ".join(f"{k} {v}" for k, v in told.items() if k != "n"),
                flush=True,
            )
        with tempfile.TemporaryDirectory() as place:
            rebuild = round(rebuilt(Path(place)))
        print(f"rebuild: {rebuild} records a second", flush=True)
        compared = None
        if args.mlflow_python:
            with tempfile.TemporaryDirectory() as place:
                compared = mlflow(
                    args.mlflow_python,
                    Path(place),
                    min(MLFLOW_MOST, max(s for s in sizes if s <= MLFLOW_MOST)),
                )
            print(f"MLflow: {compared}", flush=True)
        else:
            print("MLflow: LEFT OUT. Name an environment that has it: --mlflow-python PATH", flush=True)
    finally:
        if not args.keep:
            shutil.rmtree(folder)
    ok = all(t.get(k, 0.0) <= most for t in results for k, most in LIMITS.get(t["n"], {}).items())
    last = results[-1] | {
        "rebuild_per_s": rebuild,
        "mlflow": compared,
        "ok": ok and all(t["added_ms"] <= 30 for t in results),
    }
    print(json.dumps(last | {"sizes": results}))


if __name__ == "__main__":
    main()
