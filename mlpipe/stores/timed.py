"""A model timed and weighed in a process of its own: ``python -m mlpipe.stores.timed FOLDER`` prints JSON.

The folder holds ``bundle.zip``, ``rows.parquet`` and ``asked.json``: rows of a batch, most calls of a single row, seconds for each of
both, further trusted types, and modules that were loaded from files, by name. Nothing is imported that predicting does not need.
"""

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FEWEST = 5
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory(field: str) -> float:
    """Megabytes (of 10^6 bytes) that this process holds (``VmRSS``), or held at most (``VmHWM``).

    Where there is no ``/proc`` both are the most that it ever held.
    """
    if STATUS.exists():
        line = next(x for x in STATUS.read_text().splitlines() if x.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def _restarted() -> None:
    """The most that was held is counted from here, where the system can do that: imports hold more for a moment."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def _modules(files: dict[str, str]) -> None:
    """Modules of the user's that are files beside a YAML, under the names that a stored model knows them by."""
    for name, file in files.items():
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is not None and spec.loader is not None:
            sys.modules[name] = module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)


def calls(predict: Callable[[int], Any], most: int, seconds: float) -> list[float]:
    """Milliseconds of each call, after one that is not counted; at least five, whatever time they take."""
    predict(0)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < FEWEST or (len(took) < most and time.perf_counter() < end):
        start = time.perf_counter()
        predict(len(took) + 1)
        took.append((time.perf_counter() - start) * 1000)
    return took


def measured(folder: Path) -> dict[str, float]:
    """Load time, latencies and memory of the model in a folder."""
    import numpy as np

    from mlpipe.stores.bundles import loads
    from mlpipe.stores.tables import from_parquet, to_frame

    asked = json.loads((folder / "asked.json").read_text())
    _modules(asked["modules"])
    table = to_frame(from_parquet((folder / "rows.parquet").read_bytes()))
    data = (folder / "bundle.zip").read_bytes()
    before = memory("VmRSS")
    _restarted()
    start = time.perf_counter()
    bundle = loads(data, trusted=asked["trusted"])
    load_ms = (time.perf_counter() - start) * 1000
    single = [table.iloc[[i]].reset_index(drop=True) for i in range(min(len(table), asked["calls"] + 1))]
    batch = table.iloc[np.resize(np.arange(len(table)), asked["batch_rows"])].reset_index(drop=True)
    one = calls(lambda i: bundle.predict(single[i % len(single)]), asked["calls"], asked["seconds"])
    many = calls(lambda i: bundle.predict(batch), asked["calls"], asked["seconds"])
    held = memory("VmHWM")
    at = (50, 95, 99)
    found = {f"p{q}_ms": float(np.percentile(one, q)) for q in at}
    found |= {f"batch_p{q}_ms": float(np.percentile(many, q)) for q in at}
    return {
        **found,
        "batch_rows": len(batch),
        "rows_per_s": len(batch) / (found["batch_p50_ms"] / 1000),
        "calls": len(one),
        "batches": len(many),
        "load_ms": load_ms,
        "peak_mb": max(held - before, 0.0),
        "process_mb": held,
    }


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]))))  # noqa: T201
