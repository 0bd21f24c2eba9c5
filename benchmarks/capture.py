"""What capture adds to a materialization: a training and its evaluation with and without it, in turn, in one process.

Two models, a logistic regression and boosting by histogram, on ten days of 500 rows; nothing is reused. Without capture means: no
description of what was fitted, no curves, no artifacts, no configuration, nothing scrubbed, no flags, no peak of its own for each
stage. Both arms write to a store on disk, from which what capture wrote before is taken away first.

The last line is JSON: ``added_ms`` is the median over the rounds of the training with capture minus the one without, of the logistic
regression; the others likewise. ``added_cpu_ms`` is the same in CPU time, which is steadier on a busy machine.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

import mlpipe as ml
from mlpipe.ledger.chain import Ledger
from mlpipe.records.capture import environment
from mlpipe.records.record import Output
from mlpipe.spec.build import build
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, feature, ingest, label, train, validate
from mlpipe.stages.context import Context, MemoryHeads, Run
from mlpipe.stages.runner import Stage, run_stage
from mlpipe.stores.store import Store

LIMIT_MS = 30.0
DAYS = pd.date_range("2024-01-01", periods=11, freq="D").strftime("%Y-%m-%d").tolist()
MODELS: dict[str, Any] = {
    "logistic": LogisticRegression(max_iter=200),
    "boosting": HistGradientBoostingClassifier(max_iter=100),
}
MARK = "added_ms"
NOTHING = Output(name="", id="")


def rows(window: Any) -> pd.DataFrame:
    """500 rows a day, with something to learn."""
    frames = []
    for key in window.keys:
        rng = np.random.default_rng(pd.Timestamp(key).toordinal())
        a, b = rng.normal(size=500), rng.normal(size=500)
        at = pd.Timestamp(key, tz="UTC") + pd.to_timedelta(rng.integers(0, 86_400, 500), unit="s")
        city = rng.choice(["Ulm", "Bonn"], 500)
        late = (a + rng.normal(size=500) > 0).astype("int64")
        frames.append(pd.DataFrame({"at": at, "a": a, "b": b, "city": city, "late": late}))
    return pd.concat(frames, ignore_index=True)


def spec_of(name: str) -> PipelineSpec:
    """A daily pipeline with one of the models."""
    settings = {
        "name": name,
        "partitions": ml.daily(start=DAYS[0]),
        "source": ml.Load(rows, event_time="at"),
        "label": ml.Label("late"),
        "features": ["a", "b", "city"],
        "model": MODELS[name],
        "window": "10d",
        "split": ml.Split(valid="2d", test="2d"),
        "bootstrap": 100,
    }
    return build(settings, where=__file__, base_dir=Path(__file__).parent)


@contextmanager
def without() -> Iterator[None]:
    """Within the body nothing is captured beside what decides a result."""

    def same(value: Any, name: str = "") -> Any:
        return value

    changes: dict[str, Any] = {
        "mlpipe.stages.runner.scrubbed": same,
        "mlpipe.stages.runner.scrubbed_text": same,
        "mlpipe.stages.runner.environment_now": lambda listed: environment(),
        "mlpipe.records.capture._anew": lambda: None,
        "mlpipe.stages.description.learned": lambda spec, estimator: {},
        "mlpipe.stages.description.told": lambda spec, names, more: {},
        "mlpipe.stages.curves.staged": lambda estimator, parts: {},
        "mlpipe.stages.curves.judged": lambda curves, estimator: ({}, {}),
        "mlpipe.stages.evaluate.of_judged": lambda *of: ((), {}),
        "mlpipe.stages.evaluate.configured": lambda store, spec: NOTHING,
        "mlpipe.stages.train.configured": lambda store, spec: NOTHING,
    }
    with ExitStack() as stack:
        for name, value in changes.items():
            stack.enter_context(patch(name, value))
        yield


def materialized(stage: Stage, spec: PipelineSpec, ctx: Context) -> np.ndarray:
    """Milliseconds of wall and of CPU time of one materialization, until its record is on the disk."""
    start, cpu = time.perf_counter(), time.process_time()
    (record,) = run_stage(stage, spec, [DAYS[-1]], ctx)
    took = np.array([time.perf_counter() - start, time.process_time() - cpu]) * 1000
    assert record.verdict in ("trained", "pass", "fail"), record.headline
    return took


def measured(name: str, rounds: int, folder: Path) -> dict[str, list[np.ndarray]]:
    """Milliseconds of wall and CPU time that capture added to training and evaluation, round by round."""
    spec, heads, clock = spec_of(name), MemoryHeads(), datetime(2024, 3, 1, tzinfo=UTC)
    store = Store.open(folder)
    ctx = Context(store, Ledger(store.backend, name), heads, Run("run", clock), lambda: datetime.now(UTC))
    for stage in (ingest.STAGE, validate.STAGE, feature.STAGE, label.STAGE):
        list(run_stage(stage, spec, DAYS, ctx))
    added: dict[str, list[np.ndarray]] = {"train": [], "evaluate": []}
    with patch.object(Store, "recall", lambda self, recipe: None):
        for number in range(rounds + 2):
            for stage in (train.STAGE, evaluate.STAGE):
                times: dict[bool, np.ndarray] = {}
                for captured in (True, False) if number % 2 else (False, True):
                    for kind in ("report", "curve"):
                        shutil.rmtree(folder / "objects" / kind, ignore_errors=True)
                    with ExitStack() as stack:
                        if not captured:
                            stack.enter_context(without())
                        times[captured] = materialized(stage, spec, ctx)
                if number >= 2:
                    added[stage.name].append(times[True] - times[False])
    return added


def main() -> int:
    """Measure, print a table for people, and JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25, help="pairs of each (default: 25)")
    rounds = parser.parse_args().rounds
    start = time.perf_counter()
    environment()
    once = (time.perf_counter() - start) * 1000
    result: dict[str, Any] = {"once_ms": round(once, 1)}
    names: dict[tuple[str, str], str] = {
        ("logistic", "train"): MARK,
        ("logistic", "evaluate"): "added_evaluation_ms",
        ("boosting", "train"): "added_boosting_ms",
    }
    print(f"{'model':<10} {'stage':<10} {'added, median':>14} {'quartiles':>20} {'CPU, median':>14}")
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            for stage, values in measured(model, rounds, Path(folder) / model).items():
                low, (wall, cpu), high = (np.quantile(values, q, axis=0) for q in (0.25, 0.5, 0.75))
                spread = f"{low[0]:.1f} to {high[0]:.1f}"
                print(f"{model:<10} {stage:<10} {wall:>11.1f} ms {spread:>20} {cpu:>11.1f} ms")
                if (model, stage) in names:
                    result[names[model, stage]] = round(float(wall), 2)
                    result[names[model, stage].replace("_ms", "_cpu_ms")] = round(float(cpu), 2)
    slowest = max(result[name] for name in ("added_cpu_ms", "added_boosting_cpu_ms"))
    result |= {"limit_ms": LIMIT_MS, "ok": max(result[MARK], slowest) <= LIMIT_MS}
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
