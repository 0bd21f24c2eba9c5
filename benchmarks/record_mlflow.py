"""The questions of ``record.py`` to MLflow: run by the Python of an environment that has it, never by ours.

The runs are written straight into its tables, as its own store would: logging a hundred thousand by its API takes most of an hour.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

RUN = {
    "source_type": "LOCAL",
    "source_name": "",
    "entry_point_name": "",
    "user_id": "ana",
    "status": "FINISHED",
    "source_version": "",
    "lifecycle_stage": "active",
    "artifact_uri": "",
}
"""What is the same for every run."""


def fill(store: Any, file: str, runs: Path) -> str:
    """Put the runs into MLflow's tables; the id of their experiment."""
    experiment = str(store.create_experiment("runs"))
    on = sqlite3.connect(file)
    columns = [row[1] for row in on.execute("pragma table_info(metrics)")]
    latest = [row[1] for row in on.execute("pragma table_info(latest_metrics)")]
    for batch in batches(runs):
        rows: dict[str, list[tuple[Any, ...]]] = {
            "runs": [],
            "params": [],
            "tags": [],
            "metrics": [],
            "latest": [],
        }
        for run in batch:
            name, at = f"{run['number']:032x}", int(run["at"] * 1000)
            given = {
                **RUN,
                "run_uuid": name,
                "name": f"run {run['number']}",
                "start_time": at,
                "end_time": at,
            }
            rows["runs"].append(tuple((given | {"experiment_id": int(experiment)}).values()))
            rows["params"] += [(k, str(v), name) for k, v in run["params"].items()]
            rows["tags"].append(("owner", run["owner"], name))
            measured = {f"valid_{k}": v for k, v in run["metrics"].items()} | {
                "lr": run["params"]["learning_rate"]
            }
            rows["metrics"] += [(k, v, at, name, 0, 0) for k, v in measured.items()]
        named = ", ".join([*RUN, "run_uuid", "name", "start_time", "end_time", "experiment_id"])
        on.executemany(f"insert into runs ({named}) values ({', '.join('?' * 13)})", rows["runs"])
        on.executemany("insert into params (key, value, run_uuid) values (?, ?, ?)", rows["params"])
        on.executemany("insert into tags (key, value, run_uuid) values (?, ?, ?)", rows["tags"])
        for table, known in (("metrics", columns), ("latest_metrics", latest)):
            assert {"key", "value", "timestamp", "run_uuid", "step", "is_nan"} <= set(known)
            on.executemany(
                f"insert into {table} (key, value, timestamp, run_uuid, step, is_nan) values (?, ?, ?, ?, ?, ?)",
                rows["metrics"],
            )
    on.commit()
    on.close()
    return experiment


def batches(runs: Path) -> Iterator[list[dict[str, Any]]]:
    batch = []
    with runs.open() as lines:
        for line in lines:
            batch.append(json.loads(line))
            if len(batch) == 2000:
                yield batch
                batch = []
    yield batch


def timed(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - begun)
    return median(seconds), found


def main() -> None:
    import mlflow
    from mlflow.tracking import MlflowClient

    runs, file, since = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    mlflow.set_tracking_uri(f"sqlite:///{file}")
    client = MlflowClient()
    experiment = fill(client, file, runs)
    recent = f"attributes.start_time > {int(since * 1000)}"
    order = ["metrics.valid_f1 DESC"]

    def twice() -> list[Any]:
        """The learning rate as a metric too, for this filter's sake."""
        return list(
            client.search_runs(
                [experiment], f"{recent} and metrics.lr < 0.001", order_by=order, max_results=20
            )
        )

    def honest() -> list[Any]:
        """As people log it: a parameter is a text, so the recent runs are fetched, best first, until twenty match."""
        found, token = [], None
        while len(found) < 20:
            page = client.search_runs(
                [experiment], recent, order_by=order, max_results=1000, page_token=token
            )
            found += [r for r in page if float(r.data.params["learning_rate"]) < 0.001]
            token = page.token
            if not token:
                break
        return found[:20]

    client.search_runs([experiment], max_results=1)
    by_metric, one = timed(twice, 3)
    by_params, other = timed(honest, 3)
    assert [r.info.run_id for r in one] == [r.info.run_id for r in other]
    count = sum(1 for _ in runs.open())
    table_s, table = timed(lambda: mlflow.search_runs([experiment], max_results=count), 1)
    assert len(table) == count
    told = {
        "version": mlflow.__version__,
        "top20_lr_logged_twice_ms": round(by_metric * 1000, 1),
        "top20_honest_ms": round(by_params * 1000, 1),
        "table_s": round(table_s, 2),
        "table_columns": len(table.columns),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
