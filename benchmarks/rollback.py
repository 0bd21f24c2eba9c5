"""How fast a bad model is out of production: from the command to the next prediction by the old version.

A small pipeline with two promoted versions, on a Dagster instance of its own with default SQLite. Two arms, five rounds each, between
which the newer version is promoted again outside the clock:

* ``warm``: in a process that has done it before: the function behind ``mlpipe rollback`` (it reads the definitions, proves the old
  bundle, records the decision, shows it in Dagster), then the champion that the ledger names predicts a batch;
* ``cold``: ``mlpipe rollback shop …`` typed into a fresh shell, until a running service, which asks the ledger for the champion before
  each batch, has predicted one by the old version. Beside it, without a limit: ``mlpipe rollback shop … && python predict.py``, until
  that fresh second process has predicted.

The last line is JSON.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"warm_s": 1.0, "cold_s": 4.0}
ROWS = 10_000
PROJECT = """\
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import mlpipe as ml


def orders(window):
    days = pd.date_range(window.start, window.end, freq="D", inclusive="left")
    return pd.concat([day(d) for d in days], ignore_index=True)


def day(start):
    number = int(start.timestamp()) // 86400
    draw, rows = np.random.default_rng(number), 80
    size, price = draw.normal(size=rows), draw.normal(size=rows)
    late = (size + 0.5 * draw.normal(size=rows) > 0).astype(float)
    at = start + pd.to_timedelta(np.arange(rows) * 10, unit="min")
    return pd.DataFrame({"order": np.arange(rows) + number * 1000, "at": at, "size": size, "price": price, "late": late})


defs = ml.Pipeline(
    name="shop",
    partitions=ml.daily(start="2024-01-01"),
    source=ml.Load(orders, event_time="at", keys=["order"]),
    label=ml.Label("late", available_after="1d"),
    features=["size", "price"],
    model=LogisticRegression(),
    window="6d",
    split=ml.Split(valid="1d", test="2d"),
    gates=[ml.gate.at_least("roc_auc", 0.6)],
    bootstrap=100,
).definitions()
"""
PREDICT = f"""\
import time

started = time.time()
import json
import os

import numpy as np
import pandas as pd

from mlpipe.ledger.chain import Ledger
from mlpipe.stores.store import Store


def predict():
    store = Store.open(os.environ["MLPIPE_STORE"], create=False)
    state = Ledger(store.backend, "shop").state()
    champion = state.champion
    draw = np.random.default_rng(0)
    batch = pd.DataFrame({{"size": draw.normal(size={ROWS}), "price": draw.normal(size={ROWS})}})
    scores = store.get_bundle(champion.bundle).predict(batch)
    assert len(scores) == {ROWS}
    return champion.number, state.history[-1].recorded_at.timestamp()


if __name__ == "__main__":
    version, recorded = predict()
    told = {{"version": version, "recorded": recorded, "started": started, "predicted": time.time()}}
    print(json.dumps(told))
"""


SERVICE = f"""\
import json
import os
import sys
import time

import numpy as np
import pandas as pd

from mlpipe.ledger.chain import Ledger
from mlpipe.stores.store import Store

store = Store.open(os.environ["MLPIPE_STORE"], create=False)
ledger = Ledger(store.backend, "shop")
draw = np.random.default_rng(0)
batch = pd.DataFrame({{"size": draw.normal(size={ROWS}), "price": draw.normal(size={ROWS})}})
number, bundle = None, None
while True:
    champion = ledger.state().champion
    changed = champion.number != number
    if changed:
        number, bundle = champion.number, store.get_bundle(champion.bundle)
    assert len(bundle.predict(batch)) == {ROWS}
    if changed:
        print(json.dumps({{"version": number, "predicted": time.time()}}), flush=True)
    time.sleep(0.02)
"""


def main() -> None:
    """Make the pipeline, run both arms, and say what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each arm (default: 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        make(project)
        warm_rounds = warm(project, options.repeats)
        cold_rounds = [cold(project) for _ in range(options.repeats)]
    print(
        f"{options.repeats} rounds, a batch of {ROWS:,} rows; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(f"\n{'seconds':48} {'median':>8} {'min':>8} {'max':>8}")
    show("warm: rollback and the next prediction", warm_rounds, LIMITS["warm_s"])
    show(
        "cold: command to a running service's prediction",
        [c["served"] for c in cold_rounds],
        LIMITS["cold_s"],
    )
    show("  command to the prediction of a fresh process", [c["all"] for c in cold_rounds])
    show("  the latter in seconds of CPU", [c["cpu"] for c in cold_rounds])
    show("  mlpipe rollback, until the ledger names it", [c["recorded"] for c in cold_rounds])
    show("  mlpipe rollback, until it has exited", [c["rollback"] for c in cold_rounds])
    show("  a fresh Python that predicts", [c["predict"] for c in cold_rounds])
    where(imported())
    made = {
        "warm_s": round(median(warm_rounds), 3),
        "cold_s": round(median(c["served"] for c in cold_rounds), 3),
        "cold_fresh_s": round(median(c["all"] for c in cold_rounds), 3),
    }
    made["cold_recorded_s"] = round(median(c["recorded"] for c in cold_rounds), 3)
    ok = all(made[name] <= limit for name, limit in LIMITS.items())
    print(json.dumps({**made, "limits": LIMITS, "ok": ok, "repeats": options.repeats}))


def show(name: str, seconds: Sequence[float], limit: float | None = None) -> None:
    """A line of the table."""
    asked = "" if limit is None else f"   at most {limit:g}"
    print(f"{name:48} {median(seconds):8.2f} {min(seconds):8.2f} {max(seconds):8.2f}{asked}")


def make(project: Path) -> None:
    """A project in which two versions were made, the first of them promoted; `again` promotes the second."""
    (project / "home").mkdir()
    (project / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (project / "definitions.py").write_text(PROJECT)
    (project / "predict.py").write_text(PREDICT)
    (project / "service.py").write_text(SERVICE)
    os.environ |= {
        "DAGSTER_HOME": str(project / "home"),
        "MLPIPE_STORE": str(project / "home/mlpipe"),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    line = ["mlpipe", "run", "shop", "--from", "2024-01-01", "--to", "2024-01-08"]
    shell(project, [*line, "--train-at", "2024-01-07", "--train-at", "2024-01-08"])


def again(project: Path) -> None:
    """Put the newer version back, outside the clock."""
    shell(project, ["mlpipe", "promote", "shop", "2", "--override", "--reason", "for the next round"])


def warm(project: Path, repeats: int) -> list[float]:
    """Seconds of each round in this process; the first one warms up and does not count."""
    os.chdir(project)
    sys.path.insert(0, str(project))
    import predict

    from mlpipe.cli.decisions import rollback

    asked = argparse.Namespace(pipeline="shop", target="definitions.py", ledger=None, to=None, json=False)
    asked.reason = "benchmark"
    taken = []
    for _ in range(repeats + 1):
        again(project)
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            assert rollback(asked) == 0
        version, _ = predict.predict()
        taken.append(time.perf_counter() - start)
        assert version == 1
    return taken[1:]


def cold(project: Path) -> dict[str, float]:
    """Seconds of one round: all of it, and its two processes."""
    again(project)
    line = "mlpipe rollback shop -f definitions.py --reason benchmark >/dev/null && python predict.py"
    with serving(project) as service:
        start, used = time.time(), cpu()
        told = json.loads(shell(project, ["sh", "-c", line]))
        spent = cpu() - used
        served = json.loads(service.readline())
    assert told["version"] == served["version"] == 1
    return {
        "served": served["predicted"] - start,
        "all": told["predicted"] - start,
        "cpu": spent,
        "recorded": told["recorded"] - start,
        "rollback": told["started"] - start,
        "predict": told["predicted"] - told["started"],
    }


@contextlib.contextmanager
def serving(project: Path) -> Iterator[IO[str]]:
    """What a service prints that predicts batch after batch by the champion of the moment; it has begun with version 2."""
    service = subprocess.Popen([sys.executable, "service.py"], cwd=project, stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        assert json.loads(service.stdout.readline())["version"] == 2
        yield service.stdout
    finally:
        service.kill()
        service.wait()


def cpu() -> float:
    """Seconds of CPU that processes of this one have used: what the wall clock would show if nobody else used the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shell(project: Path, line: Sequence[str]) -> str:
    """What a command prints; its complaints when it fails."""
    done = subprocess.run(line, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(line)} failed:\n{done.stderr[-4000:]}")
    return done.stdout


def imported() -> dict[str, float]:
    """Seconds that a fresh Python needs to import what a rollback cannot do without, by package, each on top of those before."""
    names = ("pandas", "sklearn.linear_model", "skops.io", "dagster", "mlpipe.orchestration.locate")
    code = "import time, importlib, json; t = time.perf_counter; out = {}\n"
    code += f"for n in {names!r}:\n    s = t(); importlib.import_module(n); out[n] = t() - s\nprint(json.dumps(out))"
    return dict(json.loads(shell(ROOT, [sys.executable, "-c", code])))


def where(imports: dict[str, Any]) -> None:
    """Where the cold time goes: nearly all of it is imports."""
    print("\nimports in a fresh process, each on top of those before:")
    for name, seconds in imports.items():
        print(f"  {name:46} {seconds:8.2f}")


if __name__ == "__main__":
    main()
