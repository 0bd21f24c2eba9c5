"""The arms of `orchestration.py` that live nights of the flights example: one night, and thirty with their trainings.

Both sides start from copies of one past (history ingested, a champion in production, three weeks watched), each in a fresh process.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "flights"
FIRST, UNTIL = "2013-04-01", "2013-04-20"
NIGHT = "2013-04-21"
THIRTY = ("2013-04-21", "2013-05-20")


def prepare(folder: Path, config: Path) -> None:
    """The past that the arms start from."""
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copy(config, home / "dagster.yaml")
    asked = ["replay", "flights", "--from", FIRST, "--to", UNTIL, "--ledger", "dev"]
    done = subprocess.run(
        [sys.executable, "-m", "mlpipe", *asked],
        cwd=EXAMPLE,
        env={**os.environ, "DAGSTER_HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"the past could not be prepared:\n{done.stderr[-4000:]}")


def night_in_dagster(home: Path, watch: Callable[[Any], dict[str, list[float]]]) -> dict[str, Any]:
    """The daily job of one partition, as one Dagster run."""
    spec, defs = loaded()
    from mlpipe.orchestration.runs import Request, instance, run

    with instance() as on:
        seen = watch(on)
        defs.resolve_job_def("flights_daily")
        start = time.perf_counter()
        run(spec, defs, on, Request("daily", NIGHT, NIGHT, (), "schedule", "benchmark", clock(spec, NIGHT)))
        return {"wall": time.perf_counter() - start, "events": seen}


def night_in_a_loop(home: Path, watch: Callable[[Any], dict[str, list[float]]]) -> dict[str, Any]:
    """The stage functions of the daily job alone."""
    spec, _ = loaded()
    plain = Plain(spec, home / "mlpipe")
    start = time.perf_counter()
    plain.day(NIGHT)
    return {"wall": time.perf_counter() - start, "events": {}}


def nights_in_dagster(home: Path, watch: Callable[[Any], dict[str, list[float]]]) -> dict[str, Any]:
    """Thirty nights with their trainings, as `mlpipe replay` lives them."""
    spec, defs = loaded()
    from mlpipe.orchestration.replay import asked, replaying

    with replaying(spec, defs, asked(spec, *THIRTY, ledger="dev")) as past:
        start = time.perf_counter()
        past.live(lambda told: None)
        wall = time.perf_counter() - start
        return {"wall": wall, "events": {}, "decisions": decisions(past.ledger)}


def nights_in_a_loop(home: Path, watch: Callable[[Any], dict[str, list[float]]]) -> dict[str, Any]:
    """The same nights in a plain loop over the stage functions and the policy."""
    spec, _ = loaded()
    plain = Plain(spec, home / "mlpipe")
    start = time.perf_counter()
    for key in spec.partitions.keys(*THIRTY):
        plain.day(key)
        plain.training(key)
    wall = time.perf_counter() - start
    return {"wall": wall, "events": {}, "decisions": decisions(plain.ledger)}


NIGHTS: dict[str, Callable[..., dict[str, Any]]] = {
    "night": night_in_dagster,
    "night_loop": night_in_a_loop,
    "nights": nights_in_dagster,
    "nights_loop": nights_in_a_loop,
}


def loaded() -> tuple[Any, Any]:
    """The example, its tables, and what its stages import only when they work."""
    os.chdir(EXAMPLE)
    sys.path.insert(0, str(EXAMPLE))
    import great_expectations  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import skops.io  # noqa: F401

    from flights import data
    from mlpipe.orchestration.locate import pipeline_of

    data.all_flights()
    data.all_weather()
    return pipeline_of("flights", EXAMPLE)


def clock(spec: Any, key: str) -> str:
    """When the night of a partition begins."""
    from mlpipe.orchestration.asking import night_of

    return str((spec.partitions.window(key).end + night_of(spec).daily).isoformat())


def decisions(ledger: Any) -> list[list[Any]]:
    """What was decided: both sides must come to the same."""
    return [[e.kind, e.version, e.bundle, e.logical_date] for e in ledger.entries()]


class Plain:
    """The stages in a plain loop: heads in a dictionary, no Dagster."""

    def __init__(self, spec: Any, store: Path) -> None:
        from mlpipe.ledger.chain import Ledger
        from mlpipe.stages import (
            context,
            evaluate,
            feature,
            ingest,
            label,
            monitor,
            predict,
            release,
            train,
            validate,
        )
        from mlpipe.stores.store import Store

        self.spec, self.store = spec, Store.open(str(store))
        self.ledger = Ledger(self.store.backend, spec.name)
        self.heads = context.MemoryHeads.of_store(self.store, spec.name)
        nightly = (ingest, validate, feature, label, predict, monitor)
        self.nightly = [m.STAGE for m in nightly]
        self.trains = [m.STAGE for m in (train, evaluate, release)]

    def context(self, moment: datetime, trigger: Any, **more: str) -> Any:
        """What a stage may touch, at a moment of the past."""
        from mlpipe.stages.context import Context, Run

        run = Run("loop", moment, trigger, actor="benchmark", **more)
        return Context(self.store, self.ledger, self.heads, run, lambda: datetime.now(UTC))

    def run(self, stages: Sequence[Any], key: str, ctx: Any, *, refresh: bool) -> None:
        """Some stages for a partition, and for earlier ones whose labels ripened."""
        from mlpipe.stages.refresh import again
        from mlpipe.stages.runner import run_stage

        for stage in stages:
            keys = [*(again(self.spec, stage.asset, key, ctx) if refresh else ()), key]
            assert sum(1 for _ in run_stage(stage, self.spec, keys, ctx)) == len(keys)

    def day(self, key: str) -> None:
        """A night's work."""
        from mlpipe.records.record import Trigger

        moment = datetime.fromisoformat(clock(self.spec, key))
        self.run(self.nightly, key, self.context(moment, Trigger(kind="replay")), refresh=True)

    def training(self, key: str) -> None:
        """What the policy asks for after a night."""
        from mlpipe.orchestration.asking import ask, night_of
        from mlpipe.records.record import Trigger
        from mlpipe.stages.retraining import policy_of, trigger_of

        moment = datetime.fromisoformat(clock(self.spec, key))
        policy = policy_of(self.spec.retrain)
        assert policy is not None
        decision = ask(self.spec, policy, key, self.heads, self.ledger, self.store, as_of=moment)
        if not decision.ask:
            return
        later = self.spec.partitions.window(key).end + night_of(self.spec).training
        fields = {"actor": "benchmark", "role": "sensor", "reason": decision.reason, "effective_at": later}
        self.ledger.claim(decision.name, "loop", logical_date=key, **fields)
        trigger = Trigger(kind=trigger_of(decision.cause), reason=decision.reason)
        self.run(self.trains, key, self.context(later, trigger, attempt=decision.name), refresh=False)
