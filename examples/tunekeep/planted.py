"""What watching makes of each planted fault: detected or not, after how many days, which cause is named, what was done about it.

    python planted.py                    # all of them, some twenty minutes
    python planted.py rows_lost quiet    # some of them

Each world is lived through night by night by the stages of the pipeline, at its defaults, with a champion of 1 December 2024.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

BEGIN, PLANT, LAST = "2024-12-01", "2025-01-15", "2025-04-10"
WORLDS = {
    "quiet": "",
    **{
        name: f"{name}@{PLANT}"
        for name in (
            "covariate_drift",
            "concept_drift",
            "rows_lost",
            "column_null",
            "label_noise",
            "label_delay",
        )
    },
    # A season needs a year before it: it swings from the first day on.
    "seasonal_swing": "seasonal_swing@2024-01-01",
}


def live(root: str, first: str, last: str) -> dict[str, object]:
    """Bring a world to record from `first` on, live through it, and say what was seen. The environment names the world."""
    from tunekeep.pipeline import pipeline

    from mlpipe.ledger.chain import Ledger
    from mlpipe.stages import feature, ingest, validate
    from mlpipe.stages.context import Context, MemoryHeads, Run
    from mlpipe.stages.lives import Life, Recorded
    from mlpipe.stages.past import Past
    from mlpipe.stages.retraining import policy_of
    from mlpipe.stages.runner import run_stage
    from mlpipe.stores.store import Store

    spec = pipeline.spec
    store = Store.open(root)
    ledger = Ledger(store.backend, spec.name)
    run = Run("planted", datetime(2026, 1, 1, tzinfo=UTC))
    around = Context(store, ledger, MemoryHeads.of_store(store, spec.name), run, lambda: datetime.now(UTC))
    keys = spec.partitions.keys(first, last)
    for stage in (ingest.STAGE, validate.STAGE, feature.STAGE):
        for _ in run_stage(stage, spec, keys, around):
            pass
    if last < BEGIN:
        return {}
    recorded = Recorded(spec, Past(spec, store, ledger))
    life = Life(recorded, "declared", policy_of(spec.retrain), spec.partitions.keys(BEGIN, last), around)
    life.live()
    return seen(spec, store, life.chain, life.heads, life.keys, life.asked())


def seen(spec, store, chain, heads, keys, asked) -> dict[str, object]:
    """The first day on which something was raised, when that was known, and what was named and done; and how often it was raised anew."""
    from mlpipe.ledger.chain import Ledger
    from mlpipe.stages.context import Context, Run
    from mlpipe.stages.rootcause import found

    now = datetime(2026, 1, 1, tzinfo=UTC)
    ctx = Context(
        store,
        Ledger(store.backend, spec.name, deployment=chain),
        heads,
        Run("planted", now),
        lambda: now,
    )
    episodes, causes, up = 0, [], False
    for key in keys:
        cause = found(spec, key, ctx)
        raised = cause.kind != "nothing"
        episodes += raised and not up
        up = raised
        if raised:
            head = heads.find(f"{spec.name}/monitor", [key])[key]
            night = spec.partitions.window(key).end
            # A fall of the metric is known when labels are ripe, and the day is watched again.
            late = cause.kind in ("concept drift", "label problem")
            at = datetime.fromisoformat(head.as_of) if late else night
            causes.append(
                (at.date().isoformat(), key, cause.kind, cause.column, cause.since, list(cause.evidence))
            )
    causes.sort(key=lambda c: c[0])
    left_out = [k for k in keys if "features" not in heads.find(f"{spec.name}/features", [k])[k].outputs]
    return {
        "episodes": episodes,
        "days": len(keys),
        "first": causes[0] if causes else None,
        "kinds": {k: sum(c[2] == k for c in causes) for k in dict.fromkeys(c[2] for c in causes)},
        "left_out": len(left_out),
        "asked": [f"{a.key} {a.cause}: {a.outcome}" for a in asked if a.cause not in ("first", "schedule")],
    }


def lived(name: str, base: Path) -> dict[str, object]:
    """A world in a process of its own, on a copy of what all worlds have in common."""
    root = base.with_name(name)
    text = WORLDS[name]
    common = name not in ("label_delay", "seasonal_swing")
    if common:
        shutil.copytree(base, root, copy_function=os.link)
    first = PLANT if common else "2024-01-01"
    return child(root, first, LAST, text)


def child(root: Path, first: str, last: str, text: str) -> dict[str, object]:
    """`live` in a process of its own: the pipeline reads its world when it is imported."""
    code = [sys.executable, __file__, "--live", str(root), first, last]
    env = {**os.environ, "TUNEKEEP_SCENARIO": text}
    done = subprocess.run(code, env=env, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def line(name: str, found: dict) -> str:
    """A row of the table."""
    first = found["first"]
    if first is None:
        return f"| {name} | no | – | – | – |"
    begun = BEGIN if "@" not in WORLDS[name] or name == "seasonal_swing" else PLANT
    delay = (date.fromisoformat(first[0]) - date.fromisoformat(begun)).days
    cause = first[2] + (f" in {first[3]}" if first[3] else "")
    others = [k for k in found["kinds"] if k != first[2]]
    cause += f", later {', '.join(others)}" if others else ""
    response = [f"{found['left_out']} days not scored"] if found["left_out"] else []
    response += found["asked"][:2]
    return f"| {name} | {first[0]} | {delay} | {cause} | {'; '.join(response) or 'none'} |"


def main() -> None:
    """Live through the worlds that are named, and print the table."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("worlds", nargs="*", metavar="WORLD", help=f"default: all of {', '.join(WORLDS)}")
    parse.add_argument("--live", nargs=3, help=argparse.SUPPRESS)
    args = parse.parse_args()
    if args.live:
        print(json.dumps(live(*args.live)))
        return
    wrong = [w for w in args.worlds if w not in WORLDS]
    if wrong:
        parse.error(f"there is no world {wrong[0]!r}; there are {', '.join(WORLDS)}")
    with tempfile.TemporaryDirectory(prefix="tunekeep-") as folder:
        base = Path(folder) / "base"
        before = (date.fromisoformat(PLANT) - timedelta(days=1)).isoformat()
        child(base, "2024-01-01", before, "")
        print(
            "| planted | seen on | days after | cause named | response |\n|---|---|---|---|---|", flush=True
        )
        for name in args.worlds or WORLDS:
            print(line(name, lived(name, base)), flush=True)


if __name__ == "__main__":
    main()
