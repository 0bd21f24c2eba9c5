"""What Dagster costs: a range of days, a night, and thirty nights with their trainings, against the same stages in a plain loop.

The arms, each a fresh process, are taken in turn, so that a busy machine weighs on all alike:

* ``dagster``: the job of the flights example over the whole range, on the instance that ``dagster.yaml`` describes;
* ``loop``: the same stage functions in a loop, heads in a dictionary, no Dagster;
* ``trivial``: a Dagster run over assets of the same shape that do nothing;
* ``night`` and ``night_loop``: the daily job of one partition, and its stage functions alone;
* ``nights`` and ``nights_loop``: thirty nights with their trainings as `mlpipe replay` lives them, and in a plain loop.

Imports, the loading of the tables and one day for warming up lie before the clock. The last line is JSON.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from nights import NIGHTS, prepare

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ("raw", "validated", "features")
FIRST = date(2013, 1, 1)
WARM = ("2013-12-01", "2013-12-02")
LIMITS = {"over_trivial": 1.3, "ratio_range": 1.6, "ratio_daily": 3.0, "ratio_replay": 2.2}
REPLAYS = 3
"""Rounds of the thirty nights, at most."""


@dataclass
class Arm:
    """One arm: `run` does its work for some partitions, with the store in a folder; `own` and `events` gather seconds."""

    run: Callable[[Sequence[str], Path], None]
    own: list[float] = field(default_factory=list)
    events: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    """Run the arms in turn and say what came out, or be one arm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, default=30, help="length of the range (default: 30)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of the three arms (default: 5)")
    parser.add_argument(
        "--config", type=Path, default=ROOT / "dagster.yaml", help="the instance (default: the shipped one)"
    )
    parser.add_argument("--arm", choices=sorted([*ARMS, *NIGHTS]), help="be this arm and print its time")
    parser.add_argument("--home", type=Path, help="with an arm of nights: the past it starts from")
    parser.add_argument("--part", choices=("range", "nights"), help="only this part; default: both")
    parser.add_argument("--events", action="store_true", help="with --arm: also say where the time goes")
    options = parser.parse_args()
    if options.arm:
        night = options.arm in NIGHTS
        made = lived(options) if night else one(options.arm, options.days, options.config, options.events)
        print(json.dumps(made))
        return
    ratios: dict[str, Any] = {}
    if options.part != "nights":
        ratios |= ranges(options)
    if options.part != "range":
        ratios |= nights(options)
    limits = {name: limit for name, limit in LIMITS.items() if name in ratios}
    ok = all(ratios[name] <= limit for name, limit in limits.items())
    print(json.dumps({**ratios, "limits": limits, "ok": ok}))


def ranges(options: argparse.Namespace) -> dict[str, Any]:
    """The part about a range of days: rounds, a table, and the ratios."""
    rounds = []
    for number in range(options.repeats):
        taken = {arm: spawn(arm, options) for arm in ("dagster", "loop", "trivial")}
        rounds.append({arm: one["wall"] for arm, one in taken.items()} | {"own": taken["dagster"]["own"]})
        shown = ", ".join(f"{arm} {one['wall']:.2f} s" for arm, one in taken.items())
        print(f"round {number + 1} of {options.repeats}: {shown}", flush=True)
    report(rounds, options.days)
    for arm in ("dagster", "trivial"):
        where(arm, spawn(arm, options, "--events"))
    return summary(rounds, options.days)


def nights(options: argparse.Namespace) -> dict[str, Any]:
    """The part about nights: rounds, a table, and the ratios."""
    taken: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        past = Path(folder) / "past"
        print("\nthe past that the nights start from is prepared: a minute", flush=True)
        prepare(past, options.config)

        def arm(name: str, *more: str) -> dict[str, Any]:
            copy = Path(folder) / "copy"
            shutil.copytree(past / "home", copy)
            try:
                return spawn(name, options, "--home", str(copy), *more)
            finally:
                shutil.rmtree(copy)

        for number in range(options.repeats):
            names = ("night", "night_loop", *(("nights", "nights_loop") if number < REPLAYS else ()))
            made = {name: arm(name) for name in names}
            if "nights" in made and made["nights"]["decisions"] != made["nights_loop"]["decisions"]:
                raise SystemExit("the replay and the loop came to different decisions")
            for name, one_arm in made.items():
                taken[name].append(one_arm["wall"])
            shown = ", ".join(f"{n} {m['wall']:.2f} s" for n, m in made.items())
            print(f"round {number + 1} of {options.repeats}: {shown}", flush=True)
        watched = arm("night", "--events")
    pairs_of = {"ratio_daily": ("night", "night_loop"), "ratio_replay": ("nights", "nights_loop")}
    print(f"\n{'':34} {'median':>8} {'min':>8} {'max':>8}")
    for name, values in taken.items():
        print(f"{name + ', seconds':34} {median(values):8.2f} {min(values):8.2f} {max(values):8.2f}")
    ratios = {}
    for name, (ours, alone) in pairs_of.items():
        values = [a / b for a, b in zip(taken[ours], taken[alone], strict=True)]
        ratios[name] = round(median(values), 3)
        print(
            f"{name:34} {median(values):8.2f} {min(values):8.2f} {max(values):8.2f}   at most {LIMITS[name]}"
        )
    where("night", watched)
    return ratios


def lived(options: argparse.Namespace) -> dict[str, Any]:
    """Be an arm of nights."""
    os.environ["DAGSTER_HOME"] = str(options.home)
    os.environ["MLPIPE_STORE"] = str(options.home / "mlpipe")
    made = NIGHTS[options.arm](options.home, listen if options.events else lambda on: {})
    events = {kind: [len(taken), sum(taken)] for kind, taken in made["events"].items()}
    return {**made, "events": events}


def spawn(arm: str, options: argparse.Namespace, *more: str) -> dict[str, Any]:
    """Run one arm in a process of its own."""
    command = [sys.executable, __file__, "--arm", arm, "--days", str(options.days), "--config"]
    done = subprocess.run(
        [*command, str(options.config), *more],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode != 0:
        raise SystemExit(f"the arm {arm!r} failed:\n{done.stderr[-4000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def one(name: str, days: int, config: Path, events: bool) -> dict[str, Any]:
    """Warm up, then measure the range."""
    keys = [str(FIRST + timedelta(days=n)) for n in range(days)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copy(config, home / "dagster.yaml")
        os.environ["DAGSTER_HOME"] = folder
        arm = ARMS[name](events)
        arm.run(WARM, home / "warm")
        arm.events.clear()
        arm.own.clear()
        start = time.perf_counter()
        arm.run(keys, home / "store")
        wall = time.perf_counter() - start
    written = {kind: [len(taken), sum(taken)] for kind, taken in arm.events.items()}
    return {"wall": wall, "own": sum(arm.own), "events": written}


def dagster_arm(events: bool) -> Arm:
    """The job of the example, with the assets of the benchmark selected, and a watch on the stages' own work."""
    import dagster as dg

    load_example()
    from flights.pipeline import pipeline
    from mlpipe.orchestration.definitions import definitions_of

    own: list[float] = []
    defs = definitions_of(pipeline.spec, execute=lambda *given: watched(own, *given))
    assets = [dg.AssetKey(["flights", name]) for name in ASSETS]
    return dagster_run(defs.resolve_job_def("flights_ingest"), assets, events, own)


def watched(own: list[float], spec: Any, stage: Any, keys: Sequence[str], ctx: Any) -> Iterator[Any]:
    """Run a stage and note how long it works itself: neither in Dagster's event log nor while its records are taken."""
    from mlpipe.stages.runner import run_stage

    away: list[float] = []

    def timed(function: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*given)
            finally:
                into.append(time.perf_counter() - start)

        return call

    heads = SimpleNamespace(find=timed(ctx.heads.find, away), add=ctx.heads.add)
    records = run_stage(stage, spec, keys, replace(ctx, heads=heads, log=timed(ctx.log, away)))
    following, end = timed(next, own), object()
    while (record := following(records, end)) is not end:
        yield record
    own.append(-sum(away))


def dagster_run(job: Any, assets: Sequence[Any] | None, events: bool, own: list[float]) -> Arm:
    """A job over a range, on the instance of this process."""
    import dagster as dg

    instance = dg.DagsterInstance.get()
    seen = listen(instance) if events else defaultdict(list)
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

    def run(keys: Sequence[str], store: Path) -> None:
        os.environ["MLPIPE_STORE"] = str(store)
        tags = {
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        }
        result = job.execute_in_process(
            instance=instance, tags=tags, asset_selection=assets, run_config=quiet, raise_on_error=True
        )
        assert result.success

    return Arm(run, own, seen)


def listen(instance: Any) -> dict[str, list[float]]:
    """Note how long the instance takes to write each event, by the event's type."""
    seen: dict[str, list[float]] = defaultdict(list)
    write = instance.handle_new_event

    def timed(event: Any, **more: Any) -> None:
        start = time.perf_counter()
        write(event, **more)
        kind = event.dagster_event_type.value if event.is_dagster_event else "log line"
        seen[kind].append(time.perf_counter() - start)

    instance.handle_new_event = timed
    return seen


def loop_arm(events: bool) -> Arm:
    """The stage functions alone."""
    load_example()
    from flights.pipeline import pipeline
    from mlpipe.ledger.chain import Ledger
    from mlpipe.stages import context, feature, ingest, validate
    from mlpipe.stages.runner import run_stage
    from mlpipe.stores.store import Store

    def now() -> datetime:
        return datetime.now(UTC)

    def run(keys: Sequence[str], folder: Path) -> None:
        store, spec = Store.open(str(folder)), pipeline.spec
        ctx = context.Context(
            store=store,
            ledger=Ledger(store.backend, spec.name),
            heads=context.MemoryHeads(),
            run=context.Run("loop", now()),
            now=now,
        )
        for stage in (ingest.STAGE, validate.STAGE, feature.STAGE):
            assert sum(1 for _ in run_stage(stage, spec, keys, ctx)) == len(keys)

    return Arm(run)


def load_example() -> None:
    """The example's code and tables, and what its stages import only when they work."""
    sys.path.insert(0, str(ROOT / "examples" / "flights"))
    import great_expectations  # noqa: F401  (three seconds that belong before the clock)

    from flights import data

    data.all_flights()
    data.all_weather()


def trivial_arm(events: bool) -> Arm:
    """Assets with the partitions, dependencies, check and results of the real ones, which do nothing."""
    import warnings

    import dagster as dg

    days = dg.DailyPartitionsDefinition("2013-01-01", end_date="2014-01-01", timezone="America/New_York")

    def make(name: str, parent: str | None) -> Any:
        checked = name == "validated"

        @dg.asset(
            key=["trivial", name],
            deps=[dg.AssetDep(["trivial", parent], partition_mapping=dg.IdentityPartitionMapping())]
            if parent
            else None,
            partitions_def=days,
            code_version="1",
            backfill_policy=dg.BackfillPolicy.single_run(),
            check_specs=[dg.AssetCheckSpec("contract", asset=["trivial", name], partitions_def=days)]
            if checked
            else None,
        )
        def nothing(context: dg.AssetExecutionContext) -> Iterator[Any]:
            key = context.asset_key
            for day in context.partition_keys:
                context.add_asset_metadata({"rows": 1}, asset_key=key, partition_key=day)
                if checked:
                    yield dg.AssetCheckEvaluation(
                        asset_key=key, check_name="contract", passed=True, metadata={}, partition=day
                    )
            verdict = [dg.AssetCheckResult(passed=True, check_name="contract")] if checked else None
            yield dg.MaterializeResult(data_version=dg.DataVersion("1"), check_results=verdict)

        return nothing

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        assets = [make(name, parent) for name, parent in zip(ASSETS, (None, *ASSETS), strict=False)]
        defs = dg.Definitions(
            assets=assets,
            jobs=[dg.define_asset_job("trivial", executor_def=dg.in_process_executor)],
        )
    return dagster_run(defs.resolve_job_def("trivial"), None, events, [])


ARMS: dict[str, Callable[[bool], Arm]] = {
    "dagster": dagster_arm,
    "loop": loop_arm,
    "trivial": trivial_arm,
}


def pairs(rounds: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """The ratios of each round, whose arms ran one after the other.

    `over_trivial` takes the loop from the Dagster arm, and so carries the noise of two long runs. `over_trivial_within` takes off
    what the stages worked within the Dagster arm itself: steadier, but blind to work that Dagster moves into the stages' time.
    """
    return {
        "over_trivial": [(r["dagster"] - r["loop"]) / r["trivial"] for r in rounds],
        "over_trivial_within": [(r["dagster"] - r["own"]) / r["trivial"] for r in rounds],
        "ratio_range": [r["dagster"] / r["loop"] for r in rounds],
    }


def report(rounds: Sequence[dict[str, float]], days: int) -> None:
    """The table for people."""
    count = len(ASSETS) * days
    print(f"\n{days} days x {len(ASSETS)} assets = {count} asset partitions, {len(rounds)} rounds")
    print(f"\n{'':34} {'median':>8} {'min':>8} {'max':>8}")
    rows = {f"{arm}, seconds": [r[arm] for r in rounds] for arm in ("dagster", "loop", "trivial")}
    rows["beyond the stages, ms a partition"] = [(r["dagster"] - r["loop"]) / count * 1e3 for r in rounds]
    rows["the same, within the Dagster arm"] = [(r["dagster"] - r["own"]) / count * 1e3 for r in rounds]
    rows["trivial assets, ms a partition"] = [r["trivial"] / count * 1e3 for r in rounds]
    for name, values in {**rows, **pairs(rounds)}.items():
        limit = f"   at most {LIMITS[name]}" if name in LIMITS else ""
        print(f"{name:34} {median(values):8.2f} {min(values):8.2f} {max(values):8.2f}{limit}")


def where(arm: str, measured: dict[str, Any]) -> None:
    """What the instance wrote in one more run, and how long that took."""
    events: dict[str, list[float]] = measured["events"]
    written, seconds = sum(n for n, _ in events.values()), sum(s for _, s in events.values())
    print(
        f"\n{arm}: {written:.0f} events take {seconds:.2f} s of {measured['wall']:.2f} s in one more, watched run"
    )
    for kind, (count, took) in sorted(events.items(), key=lambda item: -item[1][1])[:8]:
        print(f"  {kind:34} {count:5.0f} events {took:6.2f} s {took / count * 1e3:7.1f} ms each")


def summary(rounds: Sequence[dict[str, float]], days: int) -> dict[str, Any]:
    """The last line: medians of the rounds' ratios."""
    ratios = {name: round(median(values), 3) for name, values in pairs(rounds).items()}
    count = len(ASSETS) * days
    cost = median((r["dagster"] - r["loop"]) / count * 1e3 for r in rounds)
    return {
        **ratios,
        "ms_per_asset_partition": round(cost, 2),
        "days": days,
        "repeats": len(rounds),
    }


if __name__ == "__main__":
    main()
