"""What watching costs: profiles and window checks against Evidently, NannyML and scipy, and how close they come to scipy's values.

A reference of 1,000,000 rows x 50 columns and 30 days of 100,000 x 50 (``--quick``: 100,000 and 30 x 10,000), of which half the columns
drift. All times are seconds of CPU, medians of several rounds, but for ``profile_day_ms``, which is by the clock, for columns are profiled
side by side (``profile_day_cpu_ms`` is the CPU of it, and what the ratios count); the others' are of one round, for they take long.
Evidently and NannyML are no part of this project: ``--evidently PYTHON`` and ``--nannyml PYTHON`` name interpreters that have them, which
make the same tables and compare the reference with the last day. Without them their entries are null. scipy compares the reference with
all 30 days.

The last line is JSON: ``profile_day_ms`` and ``window_ms`` (50 columns, 30 days summed and measured against a prepared reference),
``evidently_s``, ``ks_max_error`` and ``wasserstein_max_rel_error`` (of drifting columns) against scipy on raw rows, ratios of the others
over ours, and ``day_growth``, the cost of a day with 120 days behind it over that with 30.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

COLUMNS, DAYS, ROUNDS = 50, 30, 7
LIMITS = {"profile_day_ms": 60.0, "window_ms": 5.0, "ks_max_error": 0.002, "wasserstein_max_rel_error": 0.01}
EVIDENTLY = """
from evidently import Dataset, DataDefinition, Report
from evidently.presets import DataDriftPreset
schema = DataDefinition(numerical_columns=list(reference.columns))
sides = [Dataset.from_pandas(f, data_definition=schema) for f in (day, reference)]
begun = time.process_time()
Report([DataDriftPreset(num_method="psi")]).run(*sides)
"""
NANNYML = """
import nannyml
made = nannyml.UnivariateDriftCalculator(column_names=list(reference.columns), chunk_number=1,
    continuous_methods=["kolmogorov_smirnov", "jensen_shannon", "wasserstein", "hellinger"])
begun = time.process_time()
made.fit(reference); made.calculate(day)
"""


def table(rows: int, day: int) -> pd.DataFrame:
    """Five shapes in turn; from the 26th column on the level moves day by day. Day -1 is the reference."""
    rng = np.random.default_rng(day + 1)
    out = {}
    for i in range(COLUMNS):
        moved = 0.01 * (day + 1) * (i >= COLUMNS // 2)
        values = (
            rng.normal(moved, 1.0, rows),
            rng.lognormal(moved, 1.0, rows),
            rng.exponential(1.0 + moved, rows),
            rng.poisson(5.0 + 4 * moved, rows).astype(np.float64),
            rng.gamma(2.0, 1.0 + moved, rows),
        )[i % 5]
        out[f"c{i:02}"] = values
    return pd.DataFrame(out)


def seconds(
    work: Callable[[], Any], rounds: int = ROUNDS, clock: Callable[[], float] = time.process_time
) -> float:
    """Median seconds of some rounds, of CPU or by another clock, after one that does not count when there are several."""
    spent = []
    for _ in range(rounds + (rounds > 1)):
        begun = clock()
        work()
        spent.append(clock() - begun)
    return statistics.median(spent[rounds > 1 :])


def peer(python: str | None, body: str, reference_rows: int, day_rows: int) -> float | None:
    """CPU seconds that another library takes in its own interpreter; None without one."""
    if not python:
        return None
    script = (
        f"import sys, time, warnings; warnings.simplefilter('ignore'); sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        f"from drift import table\nreference, day = table({reference_rows}, -1), table({day_rows}, {DAYS - 1})\n"
        f"{body}\nprint('SECONDS', time.process_time() - begun)"
    )
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    told = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("SECONDS")]
    if not told:
        print(f"{python} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return float(told[0])


def distances(reference: pd.DataFrame, days: list[pd.DataFrame], found: dict[str, Any]) -> dict[str, float]:
    """Errors against scipy on raw rows, and what scipy takes."""
    from scipy.stats import ks_2samp, wasserstein_distance

    begun, ks, wasserstein = time.process_time(), [], []
    for i, name in enumerate(reference):
        now = np.concatenate([day[name].to_numpy() for day in days])
        then = reference[name].to_numpy()
        ks.append(abs(ks_2samp(then, now, method="asymp").statistic - found[name].ks))
        if i >= COLUMNS // 2:
            exact = wasserstein_distance(then, now)
            wasserstein.append(abs(found[name].wasserstein / exact - 1))
    spent = time.process_time() - begun
    return {"ks_max_error": max(ks), "wasserstein_max_rel_error": max(wasserstein), "scipy_s": spent}


def measure(reference_rows: int, day_rows: int) -> dict[str, float]:
    """Our side, and scipy's."""
    from mlpipe.core.abreast import abreast, basis, together
    from mlpipe.core.drift import check
    from mlpipe.core.grid import build
    from mlpipe.core.profile import profile

    reference = table(reference_rows, -1)
    grid = build(reference)
    base = basis(grid, profile(reference, grid), tuple(grid.columns))
    days = [table(day_rows, day) for day in range(DAYS)]
    profiles = [profile(day, grid) for day in days]
    packed = [abreast(base, found) for found in profiles]
    out = {
        "profile_day_ms": 1e3 * seconds(lambda: profile(days[-1], grid), 3 * ROUNDS, time.perf_counter),
        "profile_day_cpu_ms": 1e3 * seconds(lambda: profile(days[-1], grid), 3 * ROUNDS),
        "sort_day_ms": 1e3 * seconds(lambda: [np.sort(days[-1][name].to_numpy()) for name in days[-1]], 3),
        "abreast_ms": 1e3 * seconds(lambda: abreast(base, profiles[-1])),
        "window_ms": 1e3 * seconds(lambda: check(base, together(packed)), 5 * ROUNDS),
    }

    def day_behind(history: int) -> float:
        kept = (packed * (1 + history // DAYS))[:history]
        return seconds(
            lambda: check(base, together([*kept[-DAYS + 1 :], abreast(base, profile(days[-1], grid))]))
        )

    out["day_growth"] = day_behind(120) / day_behind(30)
    return out | distances(reference, days, check(base, together(packed)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--evidently", metavar="PYTHON", help="an interpreter that has evidently")
    parser.add_argument("--nannyml", metavar="PYTHON", help="an interpreter that has nannyml")
    asked = parser.parse_args()
    reference_rows, day_rows = (100_000, 10_000) if asked.quick else (1_000_000, 100_000)
    found: dict[str, Any] = measure(reference_rows, day_rows)
    found["evidently_s"] = peer(asked.evidently, EVIDENTLY, reference_rows, day_rows)
    found["nannyml_s"] = peer(asked.nannyml, NANNYML, reference_rows, day_rows)
    ours = (found["profile_day_cpu_ms"] + found["abreast_ms"] + found["window_ms"]) / 1e3
    for name in ("evidently", "nannyml", "scipy"):
        spent = found[f"{name}_s"]
        found[f"{name}_over_ours"] = None if spent is None else spent / ours
    for name, value in found.items():
        limit = f"   at most {LIMITS[name]:g}" if name in LIMITS else ""
        print(f"{name:28} {'not measured' if value is None else format(value, '.4g'):>12}{limit}")
    rows = {"reference_rows": reference_rows, "day_rows": day_rows, "columns": COLUMNS, "days": DAYS}
    print(json.dumps(rows | {k: None if v is None else round(v, 6) for k, v in found.items()}))


if __name__ == "__main__":
    main()
